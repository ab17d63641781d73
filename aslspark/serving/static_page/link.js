/** The way from the page to the networks, which run in this page: no picture leaves it. */

import { readerOf } from "./reader.js";

export const WHERE = ["Hands are found and read in this browser: ", "no picture leaves this machine", "."]; // each second one is stressed
export const SILENT = "The networks cannot be run here";

const LEAST = 60; // milliseconds between two frames
const AGAIN = 1000; // milliseconds until a frame is tried again
const SIDE = 480; // pixels of a frame's longer side
const MOST_SIDE = 1280; // pixels of a picture's longer side

const reader = readerOf(fetch("page.json").then((answer) => answer.json()));
reader.catch(() => {}); // whoever asks gets the error

/** Draw an image in its size, or in one of at most `side` pixels, on black. */
function pixels(image, side) {
  const share = Math.min(1, side / Math.max(image.width, image.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.width * share));
  canvas.height = Math.max(1, Math.round(image.height * share));
  const pen = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  image.close();
  return pen.getImageData(0, 0, canvas.width, canvas.height);
}

/** Read the camera's frames one at a time: the next is taken when the last is read. Returns what `close` ends. */
export function connect(camera) {
  const link = { open: true, close: () => (link.open = false) };
  const next = async () => {
    if (!link.open) return;
    const time = performance.now();
    let pause = LEAST;
    try {
      const reading = await (await reader).read(pixels(await createImageBitmap(camera.video), SIDE));
      if (link.open) camera.answered(reading, time);
    } catch (error) {
      if (link.open) camera.failed(`${SILENT} (${error.message}); trying again.`);
      pause = AGAIN;
    }
    setTimeout(next, Math.max(0, pause - (performance.now() - time)));
  };
  next();
  return link;
}

/** Read files; a reading for each. */
export async function ask(files) {
  const { read } = await reader;
  const readings = [];
  for (const file of files) {
    const image = await createImageBitmap(file).catch(() => null);
    readings.push(image ? await read(pixels(image, MOST_SIDE)) : { reason: "not a picture that this browser shows" });
  }
  return readings;
}
