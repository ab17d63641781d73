/** Guesses of a letter, and their probabilities, in words. */

export const percent = (share) => `${Math.round(100 * share)} %`;

/** What a letter may be instead, as "or M 12 %, S 3 %"; "" where nothing else comes to 1 %. */
export function others(guesses) {
  const likely = guesses.filter((guess) => Math.round(100 * guess.probability) > 0);
  return likely.length ? `or ${likely.map((guess) => `${guess.letter} ${percent(guess.probability)}`).join(", ")}` : "";
}
