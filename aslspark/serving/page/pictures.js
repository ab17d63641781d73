/** Shows what is read in pictures that are dropped or chosen. */

import { outline } from "./drawing.js";
import { others, pair, percent, shares } from "./guesses.js";
import { SILENT, ask } from "./link.js";

const A_REQUEST = 8; // pictures

function item(file, reading) {
  const [shown, picture, words, letter] = ["li", "div", "p", "strong"].map((name) => document.createElement(name));
  const [image, canvas] = [new Image(), document.createElement("canvas")];
  image.src = URL.createObjectURL(file);
  image.onload = image.onerror = () => {
    URL.revokeObjectURL(image.src);
    image.hidden = !image.naturalWidth; // no picture: the browser would show a torn one
    outline(canvas, image.naturalWidth || 1, image.naturalHeight || 1, reading.hand);
  };
  image.alt = "";
  picture.className = "picture";
  picture.append(image, canvas);
  const two = pair(reading.top ?? []);
  letter.textContent = two?.join(" or ") ?? reading.letter ?? "–";
  const share = two ? shares(reading.top.slice(0, 2)) : reading.probability == null ? "" : percent(reading.probability);
  words.append(letter, ` ${reading.letter || two ? share : `${reading.reason} ${share}`} (${file.name})`);
  const listed = others((reading.top ?? []).slice(two ? 2 : reading.letter ? 1 : 0));
  if (listed) words.append(document.createElement("br"), listed);
  shown.append(picture, words);
  return shown;
}

/** Returns what reads the pictures that are shown once more, such as by another model. */
export function setUpPictures(say) {
  let shown = [];
  const [drop, input, results] = ["drop", "files", "results"].map((id) => document.getElementById(id));

  async function read(list) {
    const files = [...list];
    shown = files;
    say(`Reading ${files.length} ${files.length === 1 ? "picture" : "pictures"}`);
    results.replaceChildren();
    let read = 0;
    for (let first = 0; first < files.length; first += A_REQUEST) {
      const some = files.slice(first, first + A_REQUEST);
      let readings;
      try {
        readings = await ask(some);
      } catch {
        say(SILENT, true);
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
  return () => (shown.length ? read(shown) : null);
}
