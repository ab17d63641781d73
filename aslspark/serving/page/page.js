/** The page: camera, text, practice and chart; words.js turns letters into words. */

import { Camera } from "./camera.js";
import { outline } from "./drawing.js";
import { SILENT, WHERE } from "./link.js";
import { setUpPictures } from "./pictures.js";
import { authorization, setUpRecording } from "./recording.js";
import { Practice, Speller } from "./words.js";

const $ = (id) => document.getElementById(id);
const speller = new Speller();
let practice = null;
let facts = { labels: [], chart: [], record: false, model: "–" };

function say(words, trouble = false) {
  $("status").textContent = words;
  $("status").classList.toggle("trouble", trouble);
}

function percent(share) {
  return `${Math.round(100 * share)} %`;
}

function showText() {
  if ($("text").value !== speller.text) $("text").value = speller.text;
}

function showHand(hand) {
  outline($("outline"), $("video").videoWidth || 1, $("video").videoHeight || 1, hand);
}

function showReading(reading, time) {
  const best = reading.top[0];
  const letter = reading.letter ?? (best ? `${best.letter}?` : "–");
  $("letter").textContent = letter;
  $("letter").parentElement.classList.toggle("word", letter.length > 2);
  $("certainty").value = best?.probability ?? 0;
  $("certainty-words").textContent = best ? percent(best.probability) : "–";
  $("held").value = speller.progress(time);
  const others = reading.top.slice(1).map((guess) => `${guess.letter} ${percent(guess.probability)}`);
  $("others").textContent = others.length ? `or ${others.join(", ")}` : (reading.reason ?? "\u00a0");
  showHand(reading.hand);
}

const WORDS = {
  letter: (event) => `${event.letter} added`,
  word: (event) => `The word ${event.word} ended`,
  space: () => "Space added",
  delete: (event) => (event.letter ? `${event.letter === " " ? "Space" : event.letter} deleted` : "Nothing to delete"),
};

function tell(event) {
  if (!event) return;
  showText();
  say(WORDS[event.kind](event));
}

function answered(reading, time) {
  const event = speller.see(reading.letter, reading.probability ?? 0, time);
  showReading(reading, time);
  if (practice && event?.kind === "letter") {
    const wanted = practice.wanted;
    const right = practice.see(event.letter);
    tell(event);
    say(right ? `${wanted} is right` : `That was ${event.letter}; ${wanted} is wanted`);
    showPractice();
    return;
  }
  tell(event);
}

const camera = new Camera($("video"), answered, (words) => say(words, true));

async function toggleCamera() {
  const button = $("camera");
  if (camera.on) {
    camera.stop();
    speller.restart();
    showHand(null);
    $("stage-words").hidden = false;
    button.textContent = "Start camera";
    $("letter").textContent = "–";
    return;
  }
  button.disabled = true;
  try {
    await camera.start();
    $("stage-words").hidden = true;
    button.textContent = "Stop camera";
    say("The camera is on");
  } catch (error) {
    camera.stop();
    const why = { NotAllowedError: "the browser may not use it", NotFoundError: "there is none" }[error.name];
    say(`No camera: ${why ?? error.message}. Pictures can be chosen instead.`, true);
  } finally {
    button.disabled = false;
  }
}

function entryOf(letter) {
  return facts.chart.find((entry) => entry.letter === letter);
}

function picture(entry, alt) {
  const image = new Image();
  image.src = `chart/${entry.letter}.png`;
  image.alt = alt;
  image.loading = "lazy";
  image.width = image.height = 160;
  return image;
}

function showPractice() {
  const on = practice !== null;
  $("practice").setAttribute("aria-pressed", String(on));
  $("practice").textContent = on ? "Stop practising" : "Practise";
  for (const id of ["skip", "show"]) $(id).hidden = !on;
  if (!on) {
    $("practice-words").textContent = "Start, and a letter to make is shown.";
    $("how").hidden = true;
    return;
  }
  const wanted = document.createElement("strong");
  wanted.textContent = practice.wanted;
  $("practice-words").replaceChildren("Make the letter ", wanted, ` — ${practice.right} right so far`);
  showHow();
}

function showHow() {
  const open = $("show").getAttribute("aria-expanded") === "true";
  $("how").hidden = !open;
  if (!open) return;
  const entry = entryOf(practice.wanted);
  const words = document.createElement("figcaption");
  words.textContent = entry.words;
  $("how").replaceChildren(...(entry.drawn ? [picture(entry, "")] : []), words);
}

function setUpPractice() {
  const letters = facts.chart.filter((entry) => entry.known && entry.drawn).map((entry) => entry.letter);
  $("practice").disabled = letters.length === 0;
  $("practice").onclick = () => {
    practice = practice ? null : new Practice(letters);
    showPractice();
    say(practice ? `Make the letter ${practice.wanted}` : "");
  };
  $("skip").onclick = () => {
    practice.next();
    showPractice();
    say(`Make the letter ${practice.wanted}`);
  };
  $("show").onclick = () => {
    const open = $("show").getAttribute("aria-expanded") === "true";
    $("show").setAttribute("aria-expanded", String(!open));
    showHow();
  };
}

function setUpChart() {
  $("chart").replaceChildren(
    ...facts.chart.map((entry) => {
      const item = document.createElement("li");
      const words = document.createElement("p");
      const letter = document.createElement("strong");
      letter.textContent = entry.letter;
      words.append(letter, ` ${entry.words}`);
      if (!entry.known) {
        words.className = "unknown";
        words.append(" (this model does not read it)");
      }
      item.append(...(entry.drawn ? [picture(entry, "")] : []), words);
      return item;
    }),
  );
}

async function copy() {
  try {
    await navigator.clipboard.writeText(speller.text);
    say("Copied");
  } catch {
    $("text").select();
    say("The browser does not let the page copy; the text is selected", true);
  }
}

function speak() {
  const text = speller.text.trim();
  if (!text) return say("There is no text yet");
  // Local voices alone: others would send the text to another host.
  const voice = globalThis.speechSynthesis?.getVoices().find((one) => one.localService && one.lang.startsWith("en"));
  if (!voice) return say("This machine has no voice of its own", true);
  const words = new SpeechSynthesisUtterance(text.toLowerCase());
  words.voice = voice;
  speechSynthesis.speak(words);
  return say("Speaking");
}

$("camera").onclick = toggleCamera;
$("space").onclick = () => tell(speller.space());
$("delete").onclick = () => tell(speller.erase());
$("clear").onclick = () => {
  speller.clear();
  showText();
  say("Cleared");
};
$("copy").onclick = copy;
$("speak").onclick = speak;
$("text").oninput = () => (speller.text = $("text").value);
$("where").replaceChildren(
  ...WHERE.map((words, place) => {
    const part = document.createElement(place % 2 ? "strong" : "span");
    part.textContent = words;
    return part;
  }),
);

try {
  facts = await (await fetch("page.json", { headers: authorization })).json();
  $("model").textContent = facts.model;
  setUpPractice();
  setUpChart();
  setUpPictures(say);
  if (facts.record) setUpRecording(camera, facts.labels);
} catch {
  say(`${SILENT}; load the page again.`, true);
}
document.documentElement.dataset.ready = "true";
