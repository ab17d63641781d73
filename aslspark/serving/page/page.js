/** The page: camera and text; words.js turns letters into words, and learning.js has them practised. */

import { Camera, GONE, noCameraHere, troubleOf } from "./camera.js";
import { asked, choose } from "./chosen.js";
import { outline } from "./drawing.js";
import { formed, others, pair, percent } from "./guesses.js";
import { sayWhatMoves, setUpChart } from "./hands.js";
import { setUpInstalled } from "./installed.js";
import { setUpLearning } from "./learning.js";
import { SILENT, WHERE } from "./link.js";
import { setUpPictures } from "./pictures.js";
import { authorization, setUpRecording } from "./recording.js";
import { Speller } from "./words.js";

const $ = (id) => document.getElementById(id);
const speller = new Speller();
let chart = []; // how each letter is formed
let learning = { taken: () => null, isOn: () => false }; // see setUpLearning

function say(words, trouble = false) {
  $("status").textContent = words;
  $("status").classList.toggle("trouble", trouble);
}

/** Say something where the camera's picture is; no words take away what was said. */
function sayOnStage(words, trouble = false) {
  $("stage-words").textContent = words;
  $("stage-words").classList.toggle("trouble", trouble);
}

function showText() {
  if ($("text").value !== speller.text) $("text").value = speller.text;
}

function showHand(hand) {
  outline($("outline"), $("video").videoWidth || 1, $("video").videoHeight || 1, hand);
}

function showReading(reading, time) {
  const best = reading.top[0];
  const two = pair(reading.top);
  const letter = two?.join(" or ") ?? reading.letter ?? (best ? `${best.letter}?` : "–");
  $("letter").textContent = letter;
  $("letter").parentElement.classList.toggle("word", letter.length > 2);
  const certainty = (best?.probability ?? 0) + (two ? reading.top[1].probability : 0);
  $("certainty").value = certainty;
  $("certainty-words").textContent = best ? percent(certainty) : "–";
  $("held").value = speller.progress(time);
  $("others").textContent = two ? formed(two, chart) : others(reading.top.slice(1)) || (reading.reason ?? "\u00a0");
  showHand(reading.hand);
}

const WORDS = {
  letter: (event) => `${event.letter} added`,
  word: (event) => `The word ${event.word} ended`,
  space: (event) => (event.letter ? "Space added" : "There is no word to end"),
  delete: (event) => (event.letter ? `${event.letter === " " ? "Space" : event.letter} deleted` : "Nothing to delete"),
};

function tell(event) {
  if (!event) return;
  showText();
  say(WORDS[event.kind](event));
}

function answered(reading, time) {
  sayOnStage("");
  const event = speller.see(reading.letter, reading.probability ?? 0, time);
  showReading(reading, time);
  tell(event);
  const outcome = event?.kind === "letter" ? learning.taken(event.letter) : null;
  if (outcome) say(outcome);
}

const camera = new Camera($("video"), {
  answered,
  failed: (words) => sayOnStage(words, true),
  waiting: (words) => sayOnStage(words),
  gone: () => turnOff(GONE, true),
});

function turnOff(words, trouble = false) {
  camera.stop();
  speller.restart();
  showHand(null);
  sayOnStage(words, trouble);
  $("camera").textContent = "Start camera";
  $("letter").textContent = $("certainty-words").textContent = "–";
  $("certainty").value = $("held").value = 0;
  $("others").textContent = "\u00a0";
}

async function toggleCamera() {
  if (camera.on) {
    turnOff("The camera is off.");
    return;
  }
  const button = $("camera");
  button.disabled = true;
  sayOnStage("The camera starts. The browser may ask whether this page may use it.");
  try {
    await camera.start();
    sayOnStage("");
    button.textContent = "Stop camera";
    say("The camera is on");
  } catch (error) {
    turnOff(troubleOf(error), true);
  } finally {
    button.disabled = false;
  }
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
  if (!voice) return say("No English voice is installed on this machine", true);
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

if (noCameraHere()) sayOnStage(noCameraHere(), true);

/** Show what the model that reads here knows. Returns what the service says of it. */
async function showModel() {
  const address = asked("page.json");
  const facts = await (await fetch(address, { headers: authorization })).json();
  if (asked("page.json") !== address) return facts; // another one was chosen meanwhile
  $("model").textContent = facts.model;
  chart = facts.chart;
  sayWhatMoves(facts.labels);
  learning = setUpLearning(facts, say, () => camera.on, learning.isOn());
  setUpChart(facts.chart);
  if (facts.record) setUpRecording(camera, facts.labels);
  return facts;
}

/** Let one of several models be chosen: frames are read by it from then on, and the pictures that are shown once more. */
function setUpModels(names, readAgain) {
  $("models").hidden = false;
  $("which").replaceChildren(...names.map((name) => new Option(name, name)));
  $("which").onchange = async () => {
    choose($("which").value);
    speller.restart();
    camera.reconnect();
    try {
      await showModel();
      say(`${$("which").value} reads now`);
      await readAgain();
    } catch {
      say(SILENT, true);
    }
  };
}

try {
  const { models } = await showModel();
  const readAgain = setUpPictures(say);
  if (models?.length > 1) setUpModels(models, readAgain);
} catch {
  say(`${SILENT}; load the page again.`, true);
}
setUpInstalled();
document.documentElement.dataset.ready = "true";
