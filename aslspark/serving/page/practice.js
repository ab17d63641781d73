/**
 * Asks for letters, by what is known of each or in the order of words. It uses neither page nor clock: the caller gives
 * the time, in milliseconds since 1970.
 */

const MOST_WORDS = 200;
const MOST_LETTERS = 40; // of a word

/** The words of a text in capital letters of the alphabet: accents and all other characters are left out. */
export function wordsOf(text) {
  const words = text.normalize("NFD").toUpperCase().split(/[\s,;]+/);
  const letters = words.map((word) => word.replace(/[^A-Z]/g, "").slice(0, MOST_LETTERS));
  return letters.filter((word) => word !== "").slice(0, MOST_WORDS);
}

export class Practice {
  /**
   * `letters` are those that may be asked for. With `words`, their letters are asked for in order, and the others are passed
   * over; without, those that `progress` has for the weakest come first. `random` gives numbers from 0 to 1.
   */
  constructor(progress, letters, now, { words = [], random = Math.random } = {}) {
    this.progress = progress;
    this.letters = letters
      .map((letter) => [random(), letter])
      .sort(([one], [other]) => one - other)
      .map(([, letter]) => letter);
    this.words = words.filter((word) => Array.from(word).some((letter) => letters.includes(letter)));
    this.turn = -1; // the place of the word that is spelled, and
    this.place = -1; // that of the wanted letter in it
    this.right = 0;
    this.wanted = null;
    this.next(now);
  }

  next(now) {
    this.wanted = this.words.length ? this.nextOfWord() : this.nextLetter(now);
    this.asked = now;
    this.first = true;
  }

  /** The weakest letter, never the same twice in a row. */
  nextLetter(now) {
    const order = this.progress.order(this.letters, now);
    return order.find((letter) => letter !== this.wanted) ?? order[0];
  }

  /** The word that is spelled; "" where letters are asked for. */
  get word() {
    return this.words[this.turn] ?? "";
  }

  nextOfWord() {
    this.place = Array.from(this.word).findIndex((letter, place) => place > this.place && this.letters.includes(letter));
    if (this.place >= 0) return this.word[this.place];
    this.turn = (this.turn + 1) % this.words.length;
    return this.nextOfWord();
  }

  /** Take in a letter that was held, and tell whether it was the one that was asked for. */
  see(letter, now) {
    const right = letter === this.wanted;
    const seconds = Math.max(0, now - this.asked) / 1000;
    this.progress.count(this.wanted, { right, first: this.first, seconds, now });
    this.first = false;
    if (right) {
      this.right += 1;
      this.next(now);
    }
    return right;
  }

  skip(now) {
    this.progress.pass(this.wanted, now);
    this.next(now);
  }
}
