/** The parts of the page that a learner uses: practice, words of one's own, progress, lessons. */

import { element, pictures, setUpLessons } from "./hands.js";
import { Practice, wordsOf } from "./practice.js";
import { Progress } from "./progress.js";

const WORDS = "aslspark.words"; // their place in the storage
const MOVING = /[JZ]/;
const OFF = "Practise, and the page asks for letters, weak ones first.";
const ENDED = "Practice has ended, since another model reads now. ";
const NONE = "This model reads no letter that could be practised.";

const $ = (id) => document.getElementById(id);
const listed = (letters) => [...new Set(letters)].join(", ");

/** The browser's storage, or undefined where it refuses. */
function storage() {
  try {
    return globalThis.localStorage;
  } catch {
    return undefined;
  }
}

/**
 * Set these parts up. Returns `taken`, which takes in a letter that was held and tells what came of it (null out of
 * practice), and `isOn`, whether a letter is asked for. `cameraIsOn()` tells whether a letter can be seen that is made;
 * `ended`: practice with another model's letters ends by it.
 */
export function setUpLearning(facts, say, cameraIsOn, ended) {
  const kept = storage();
  const progress = new Progress(kept);
  const letters = facts.chart.filter((entry) => entry.known && entry.drawn).map((entry) => entry.letter);
  let practice = null;
  let button = null; // the one that started it

  const ownWords = () => wordsOf($("words").value);

  function askFor() {
    const wanted = element("strong", practice.wanted);
    if (practice.word === "") {
      $("practice-words").replaceChildren("Make the letter ", wanted, ` — ${practice.right} right so far`);
      return;
    }
    const word = Array.from(practice.word).map((letter, place) => {
      const part = element(place === practice.place ? "mark" : "span", letter);
      if (!letters.includes(letter)) part.className = "passed";
      return part;
    });
    const spelled = element("span", ...word);
    spelled.className = "word";
    $("practice-words").replaceChildren("Spell ", spelled, " — now ", wanted);
  }

  function sayWhatIsWanted() {
    say(cameraIsOn() ? `Make the letter ${practice.wanted}` : `Start the camera, and make the letter ${practice.wanted}`);
  }

  function showHow() {
    const open = practice !== null && $("show").getAttribute("aria-expanded") === "true";
    $("how").hidden = !open;
    if (!open) return;
    const entry = facts.chart.find((one) => one.letter === practice.wanted);
    $("how").replaceChildren(...pictures(entry), element("figcaption", entry.words));
  }

  function showPractice() {
    for (const [id, words] of [["practice", "letters"], ["practice-own", "my words"]]) {
      const on = button === $(id);
      $(id).setAttribute("aria-pressed", String(on));
      $(id).textContent = on ? "Stop practising" : `Practise ${words}`;
    }
    for (const id of ["skip", "show"]) $(id).hidden = practice === null;
    if (practice) askFor();
    else $("practice-words").textContent = (ended ? ENDED : "") + (letters.length ? OFF : NONE);
    showHow();
  }

  function start(by, some, words = []) {
    ended = false;
    practice = new Practice(progress, some, Date.now(), { words });
    button = by;
    showPractice();
    sayWhatIsWanted();
  }

  function stop() {
    practice = button = null;
    showPractice();
    say("");
  }

  function showWords() {
    const words = ownWords();
    const together = words.join("");
    const moving = Array.from(together).filter((letter) => MOVING.test(letter) && !letters.includes(letter));
    const unread = Array.from(together).filter((letter) => !MOVING.test(letter) && !letters.includes(letter));
    const said = [`${words.length} ${words.length === 1 ? "word" : "words"}.`];
    if (moving.length) said.push(`Movements are not read (${listed(moving)}): make them, and go on with the next letter.`);
    if (unread.length) said.push(`This model does not read ${listed(unread)}; the next letter is asked for instead.`);
    $("words-said").textContent = words.length ? said.join(" ") : "No words yet. Letters A to Z are taken.";
  }

  function startWords() {
    const words = ownWords();
    if (Array.from(words.join("")).some((letter) => letters.includes(letter))) {
      start($("practice-own"), letters, words);
      return;
    }
    $("own").open = true;
    $("words").focus();
    say("Type words of your own first");
  }

  function showProgress() {
    const now = Date.now();
    const sum = (name) => letters.reduce((total, letter) => total + progress.of(letter)[name], 0);
    const tries = sum("tries");
    const due = letters.filter((letter) => progress.due(letter, now)).length;
    $("progress-words").textContent = tries
      ? `${sum("right")} of ${tries} tries right; ${due} of ${letters.length} letters due now.`
      : "No tries yet. When you practise, a bar for each letter shows how many tries were right.";
    for (const id of ["progress", "forget"]) $(id).hidden = tries === 0;
    const tried = letters.filter((letter) => progress.of(letter).tries > 0);
    $("progress").replaceChildren(...tried.map((letter) => bar(letter, progress.of(letter))));
    const untried = letters.filter((letter) => !tried.includes(letter));
    $("untried").textContent = tries && untried.length ? `Not tried yet: ${untried.join(" ")}` : "";
  }

  $("practice").disabled = $("practice-own").disabled = letters.length === 0;
  $("practice").onclick = () => (button === $("practice") ? stop() : start($("practice"), letters));
  $("practice-own").onclick = () => (button === $("practice-own") ? stop() : startWords());
  $("skip").onclick = () => {
    practice.skip(Date.now());
    showPractice();
    sayWhatIsWanted();
  };
  $("show").onclick = () => {
    $("show").setAttribute("aria-expanded", String($("show").getAttribute("aria-expanded") !== "true"));
    showHow();
  };
  $("words").value = kept?.getItem(WORDS) ?? "";
  $("words").oninput = () => {
    showWords();
    try {
      kept?.setItem(WORDS, $("words").value);
    } catch {
      // no room: they last as long as the page
    }
  };
  $("forget").onclick = () => {
    if (!confirm("Clear the progress of all letters?")) return;
    progress.clear();
    showProgress();
    say("Progress cleared");
  };
  setUpLessons(facts, letters, (some) => {
    start($("practice"), some);
    $("practice").scrollIntoView({ block: "center" });
    $("practice").focus({ preventScroll: true });
  });
  showWords();
  showPractice();
  showProgress();

  const taken = (letter) => {
    if (!practice) return null;
    const { wanted } = practice;
    const right = practice.see(letter, Date.now());
    showPractice();
    showProgress();
    return right ? `${wanted} is right` : `That was ${letter}; ${wanted} is wanted`;
  };
  return { taken, isOn: () => practice !== null };
}

/** The bar of a letter, with the same in words. */
function bar(letter, { box, tries, right, seconds }) {
  const meter = document.createElement("meter");
  Object.assign(meter, { min: 0, max: 1, low: 0.5, high: 0.8, optimum: 1, value: right / tries });
  meter.setAttribute("aria-label", `${letter}, right tries`);
  const mean = right ? `, ${(seconds / right).toFixed(1)} s each` : "";
  return element("li", element("strong", letter), meter, element("span", `${right} of ${tries}${mean}; box ${box}`));
}
