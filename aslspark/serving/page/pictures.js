/** Sends dropped or chosen pictures to the service and shows its answers. */

import { jpeg } from "./camera.js";

const A_REQUEST = 8; // pictures
const AS_IT_IS = ["image/jpeg", "image/png"];
const LARGE = 4_000_000; // bytes, from which a picture is made smaller before it is sent
const SIDE = 1600;

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

async function ask(files) {
  const form = new FormData();
  for (const file of await Promise.all(files.map(readable))) form.append("pictures", file, file.name);
  const answer = await fetch("predict", { method: "POST", body: form });
  const said = await answer.json();
  if (!answer.ok) return files.map(() => ({ reason: said.reason }));
  return said.answers;
}

function item(file, reading) {
  const shown = document.createElement("li");
  const image = new Image();
  image.src = URL.createObjectURL(file);
  image.onload = image.onerror = () => URL.revokeObjectURL(image.src);
  image.alt = "";
  const words = document.createElement("p");
  const letter = document.createElement("strong");
  letter.textContent = reading.letter ?? "–";
  const share = reading.probability == null ? "" : `${Math.round(100 * reading.probability)} %`;
  words.append(letter, ` ${reading.letter ? share : `${reading.reason} ${share}`} (${file.name})`);
  shown.append(image, words);
  return shown;
}

export function setUpPictures(say) {
  const [drop, input, results] = ["drop", "files", "results"].map((id) => document.getElementById(id));

  async function read(list) {
    const files = [...list];
    say(`Reading ${files.length} ${files.length === 1 ? "picture" : "pictures"}`);
    results.replaceChildren();
    let read = 0;
    for (let first = 0; first < files.length; first += A_REQUEST) {
      const some = files.slice(first, first + A_REQUEST);
      let readings;
      try {
        readings = await ask(some);
      } catch {
        say("The service does not answer", true);
        return;
      }
      read += readings.filter((reading) => reading.letter).length;
      results.append(...some.map((file, place) => item(file, readings[place])));
    }
    say(`${read} of ${files.length} read`);
  }

  input.onchange = () => read(input.files);
  for (const name of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
      if (name === "drop") read([...event.dataTransfer.files]);
    });
  }
}
