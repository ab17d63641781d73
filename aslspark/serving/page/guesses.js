/** Guesses of a letter, and their probabilities, in words. */

import { SETTINGS } from "./words.js";

const PAIR = 0.8; // the least probability of two letters together at which they are answered as a pair

export const percent = (share) => `${Math.round(100 * share)} %`;

/** What a letter may be instead, as "or M 12 %, S 3 %"; "" where nothing else comes to 1 %. */
export function others(guesses) {
  const likely = guesses.filter((guess) => Math.round(100 * guess.probability) > 0);
  return likely.length ? `or ${likely.map((guess) => `${guess.letter} ${percent(guess.probability)}`).join(", ")}` : "";
}

/**
 * The two letters that the hand may be, where neither is likely enough by itself and both together are; else null.
 * Of people that a model has not learned from, the letter is one of such two in 85 to 93 %, the likelier one in half.
 */
export function pair([best, second] = []) {
  if (!second || best.probability >= SETTINGS.sure || best.probability + second.probability < PAIR) return null;
  return [best.letter, second.letter];
}

/** The probabilities of guesses, as "45 % or 40 %". */
export const shares = (guesses) => guesses.map((guess) => percent(guess.probability)).join(" or ");

/** How each of two letters is formed, by what page.json says of them: the hand can be held more clearly so. */
export function formed(two, chart) {
  const words = two.map((letter) => chart.find((entry) => entry.letter === letter)?.words ?? "another shape");
  return `${two.map((letter, place) => `${letter}: ${words[place]}`).join("; ")}. Or show the hand from another side.`;
}
