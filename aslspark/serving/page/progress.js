/**
 * How well each letter is known, in this browser's storage, by Leitner's boxes (S. Leitner, 1972): a letter that is right
 * at once goes one box on, one that is wrong goes back to the first, and each box waits longer than the one before it.
 * It uses neither page nor clock: the caller gives the time, in milliseconds since 1970.
 */

const [SECOND, MINUTE, DAY] = [1000, 60_000, 86_400_000];
export const BOXES = [30 * SECOND, 10 * MINUTE, DAY, 3 * DAY, 7 * DAY]; // until a letter of each box is due again
const MOST_SECONDS = 60; // who takes longer for a letter was away
const PLACE = "aslspark.progress";
const NEW = { box: 1, tries: 0, right: 0, seconds: 0, seen: null };

const whole = (value) => Number.isSafeInteger(value) && value >= 0;

/** Whether a value from the storage, which others may have written, is what is known about a letter. */
function isEntry({ box, tries, right, seconds, seen } = {}) {
  const counted = whole(box) && box >= 1 && box <= BOXES.length && whole(tries) && whole(right) && right <= tries;
  return counted && Number.isFinite(seconds) && seconds >= 0 && (seen === null || whole(seen));
}

export class Progress {
  /** `storage` is the browser's; where it has none, or refuses, what is learned lasts as long as the page. */
  constructor(storage) {
    this.storage = storage;
    this.letters = {};
    try {
      const kept = Object.entries(JSON.parse(storage.getItem(PLACE)) ?? {});
      this.letters = Object.fromEntries(kept.filter(([letter, entry]) => /^[A-Z]$/.test(letter) && isEntry(entry ?? {})));
    } catch {
      // no storage, or nothing of ours in it
    }
  }

  of(letter) {
    return this.letters[letter] ?? NEW;
  }

  /** Whether a letter is to be asked for: it is new, or the time of its box has passed. */
  due(letter, now) {
    const { box, seen } = this.of(letter);
    return seen === null || now - seen >= BOXES[box - 1] || now < seen;
  }

  /**
   * Sort letters into the order in which they are asked for: those that are due, the weakest first, new ones after those of
   * the first box; then the others, by when they are due. Of equal ones, the order stays.
   */
  order(letters, now) {
    const rank = (letter) => {
      const { box, seen } = this.of(letter);
      if (!this.due(letter, now)) return [1, seen + BOXES[box - 1], 0];
      return seen === null ? [0, 1.5, 0] : [0, box, seen];
    };
    const ranked = letters.map((letter) => [rank(letter), letter]);
    ranked.sort(([one], [other]) => one[0] - other[0] || one[1] - other[1] || one[2] - other[2]);
    return ranked.map(([, letter]) => letter);
  }

  /** Count a try at a letter; `first`: it is the first since the letter was asked for, which alone may move it on. */
  count(letter, { right, first, seconds, now }) {
    const entry = { ...this.of(letter) };
    entry.tries += 1;
    entry.right += right ? 1 : 0;
    entry.seconds += right ? Math.min(MOST_SECONDS, seconds) : 0;
    if (!right) entry.box = 1;
    else if (first) entry.box = Math.min(BOXES.length, entry.box + 1);
    this.keep(letter, { ...entry, seen: now });
  }

  /** A letter was passed over: it waits as long as its box does, and nothing is counted. */
  pass(letter, now) {
    this.keep(letter, { ...this.of(letter), seen: now });
  }

  keep(letter, entry) {
    this.letters[letter] = entry;
    try {
      this.storage.setItem(PLACE, JSON.stringify(this.letters));
    } catch {
      // no storage
    }
  }

  clear() {
    this.letters = {};
    try {
      this.storage.removeItem(PLACE);
    } catch {
      // no storage
    }
  }
}
