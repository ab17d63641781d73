/**
 * Letters that frames show -> words. It uses neither page nor clock: the caller gives the time, in milliseconds.
 */

export const SETTINGS = {
  sure: 0.6, // the least probability at which a letter counts as seen
  hold: 700, // how long a letter is held until it is added
  window: 400, // the hand shows the letter that most frames of so long a time show
  release: 500, // how long the hand is away, or shows another shape, until the same letter is added again
  pause: 1800, // how long no letter is shown until a word ends
};

const NOTHING = "nothing";
const SPACE = "space";
const DELETE = "del";

export class Speller {
  constructor(settings = {}) {
    this.settings = { ...SETTINGS, ...settings };
    this.text = "";
    this.restart();
  }

  /** Forget what is held; the text stays. */
  restart() {
    this.frames = []; // of the last `window`: { shape, time }
    this.shape = null; // the letter that is held now, or null
    this.since = null; // when it was first seen
    this.last = null; // when it was last seen
    this.added = false;
    this.before = null; // the letter that was held before, whether it was added, and when it was last seen
  }

  /**
   * Take in a frame.
   * Returns null or its effect: { kind: "letter" | "space" | "delete", letter } or { kind: "word", word }.
   */
  see(letter, probability, now) {
    const known = letter !== null && letter !== NOTHING && probability >= this.settings.sure;
    this.frames = this.frames.filter((frame) => now - frame.time < this.settings.window);
    this.frames.push({ shape: known ? letter : null, time: now });
    const shape = this.most();
    const seen = this.frames.filter((frame) => frame.shape === shape);
    if (this.since === null || shape !== this.shape) this.change(shape, seen[0].time);
    this.last = seen.at(-1).time;
    return shape === null ? this.pause(now) : this.hold(now);
  }

  /** The shape that most frames show; in a tie the one that is held already, else the newer. */
  most() {
    const counts = new Map();
    for (const { shape } of this.frames) counts.set(shape, (counts.get(shape) ?? 0) + 1);
    const highest = Math.max(...counts.values());
    if (counts.get(this.shape) === highest) return this.shape;
    return this.frames.findLast((frame) => counts.get(frame.shape) === highest).shape;
  }

  /** The share of `hold` that has passed: 0 to 1. */
  progress(now) {
    if (this.shape === null || this.since === null) return 0;
    return this.added ? 1 : Math.min(1, (now - this.since) / this.settings.hold);
  }

  change(shape, since) {
    if (this.shape !== null) this.before = { letter: this.shape, added: this.added, until: this.last };
    const same = this.before !== null && this.before.letter === shape;
    this.added = same && this.before.added && since - this.before.until < this.settings.release;
    this.shape = shape;
    this.since = since;
  }

  hold(now) {
    if (this.added || now - this.since < this.settings.hold) return null;
    this.added = true;
    if (this.shape === SPACE) return this.space();
    if (this.shape === DELETE) return this.erase();
    this.text += this.shape;
    return { kind: "letter", letter: this.shape };
  }

  pause(now) {
    if (this.text === "" || this.text.endsWith(" ") || now - this.since < this.settings.pause) return null;
    const word = this.text.split(" ").at(-1);
    this.text += " ";
    return { kind: "word", word };
  }

  space() {
    const ends = this.text !== "" && !this.text.endsWith(" ");
    if (ends) this.text += " ";
    return { kind: "space", letter: ends ? " " : "" };
  }

  erase() {
    const letters = Array.from(this.text);
    const letter = letters.pop() ?? "";
    this.text = letters.join("");
    return { kind: "delete", letter };
  }

  clear() {
    this.text = "";
    this.restart();
  }
}
