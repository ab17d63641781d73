/** What page.json says of letters -> drawn hands with their descriptions: the chart, and lessons on letters that look alike. */

const MOVING = ["J", "Z"];

export function element(name, ...inside) {
  const made = document.createElement(name);
  made.append(...inside);
  return made;
}

/** A letter's drawn hand, where there is one; the words beside it describe it. */
export function pictures(entry) {
  if (!entry.drawn) return [];
  const image = new Image();
  image.src = `chart/${entry.letter}.png`;
  image.alt = "";
  image.loading = "lazy";
  image.width = image.height = 160;
  return [image];
}

function item(entry) {
  const words = element("p", element("strong", entry.letter), ` ${entry.words}`);
  if (!entry.known) {
    words.className = "unknown";
    words.append(" (this model does not read it)");
  }
  return element("li", ...pictures(entry), words);
}

export function setUpChart(chart) {
  document.getElementById("chart").replaceChildren(...chart.map(item));
}

/** What the page can make of the letters that are movements, for a model with these labels. */
export function sayWhatMoves(labels) {
  const known = MOVING.filter((letter) => labels.includes(letter));
  document.getElementById("moving").replaceChildren(
    "J and Z are movements, which a still picture does not show: ",
    element("strong", known.length ? `the model answers ${known.join(" and ")} without seeing the movement` : "they are not read"),
    ".",
  );
}

/** Show lessons; `practise(letters)` is what their buttons do. */
export function setUpLessons({ lessons, chart }, letters, practise) {
  const shown = lessons.map((lesson) => {
    const hands = element("ul", ...chart.filter((entry) => lesson.letters.includes(entry.letter)).map(item));
    hands.className = "chart";
    const known = lesson.letters.filter((letter) => letters.includes(letter));
    const button = element("button", `Practise ${known.join(" ")}`);
    button.type = "button";
    button.onclick = () => practise(known);
    const parts = [element("h3", lesson.letters.join(" ")), element("p", lesson.words), hands];
    return element("article", ...parts, ...(known.length > 1 ? [button] : []));
  });
  document.getElementById("lessons").replaceChildren(...shown);
}
