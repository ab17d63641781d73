/** The way from the page to the service: frames over a WebSocket, pictures in a form, and the answers back. */

import { asked } from "./chosen.js";
import { jpeg } from "./drawing.js";

export const WHERE = ["Pictures go to the service at ", location.host, " and are ", "not stored", "."]; // each second one is stressed
export const SILENT = "The service does not answer";

const LEAST = 60; // milliseconds between two frames
const AGAIN = 1000; // milliseconds until a lost connection is tried again
const AS_IT_IS = ["image/jpeg", "image/png"];
const LARGE = 4_000_000; // bytes, from which a picture is made smaller before it is sent
const SIDE = 1600;

/** Send the camera's frames one at a time: the next is taken when the last is answered. Returns what `close` ends. */
export function connect(camera) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/${asked("live")}`);
  let taken = 0;
  const send = async () => {
    if (!camera.on || socket.readyState !== WebSocket.OPEN) return;
    taken = performance.now();
    let picture;
    try {
      picture = await camera.picture();
    } catch {
      setTimeout(send, LEAST); // no frame yet
      return;
    }
    if (socket.readyState === WebSocket.OPEN) socket.send(picture); // closed meanwhile by `stop`, or by the service
  };
  socket.onopen = send;
  socket.onmessage = (message) => {
    const reading = JSON.parse(message.data);
    const time = taken;
    if (camera.on && reading.busy) camera.failed("The service has too much to do; trying again.");
    else if (camera.on) camera.answered(reading, time);
    setTimeout(send, reading.busy ? AGAIN : Math.max(0, LEAST - (performance.now() - time)));
  };
  socket.onclose = () => {
    if (!camera.on || camera.link !== socket) return;
    camera.failed(`${SILENT}; trying again.`);
    setTimeout(() => camera.on && camera.link === socket && camera.connect(), AGAIN);
  };
  return socket;
}

/** Returns JPEG and PNG files as they are, and other pictures that the browser can show as JPEG. */
async function readable(file) {
  if (AS_IT_IS.includes(file.type) && file.size <= LARGE) return file;
  try {
    const image = await createImageBitmap(file);
    return new File([await jpeg(image, image.width, image.height, SIDE)], file.name, { type: "image/jpeg" });
  } catch {
    return file; // the service gives the reason
  }
}

async function oneByOne(files) {
  const readings = [];
  for (const file of files) readings.push(...(await ask([file])));
  return readings;
}

/** Read files, as many as one request may have; a reading for each. */
export async function ask(files) {
  const form = new FormData();
  for (const file of await Promise.all(files.map(readable))) form.append("pictures", file, file.name);
  const answer = await fetch(asked("predict"), { method: "POST", body: form });
  const said = await answer.json();
  // What is too large together may not be so one by one, and one that is keeps the others from nothing.
  if (answer.status === 413 && files.length > 1) return oneByOne(files);
  if (!answer.ok) return files.map(() => ({ reason: said.reason }));
  return said.answers;
}
