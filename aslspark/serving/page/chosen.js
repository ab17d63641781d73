/** Which of the service's models reads here; where none is chosen, its first. */

let chosen = null;

export function choose(model) {
  chosen = model;
}

/** A path of the service, asked of the chosen model. */
export const asked = (path) => (chosen === null ? path : `${path}?model=${encodeURIComponent(chosen)}`);
