/** Cut-outs of pictures -> the palms in them, and the turned square around each palm's hand: images/hands/palms.py. */

import { inPicture, square } from "./square.js";

export const SIDE = 192; // pixels of the network's input
const GRIDS = [
  [8, 2],
  [16, 6],
]; // stride in pixels, and anchors at the middle of each cell
const NUMBERS = 18; // of an anchor: a box, and seven keypoints
const SAME_PALM = 0.3; // boxes that overlap by more, as intersection over union, are of the same palm
const FAINT = 1 / 3; // share of the least score that is enough where no palm has it
const [WRIST, MIDDLE_KNUCKLE] = [0, 2]; // of the keypoints
const [HAND_SIDE, TOWARD_FINGERS] = [2.6, 0.5]; // the hand's square, as multiples of the palm's box

const ANCHORS = GRIDS.flatMap(([stride, count]) => {
  const middles = Array.from({ length: SIDE / stride }, (_, place) => ((place + 0.5) * stride) / SIDE);
  return middles.flatMap((y) => middles.flatMap((x) => Array(count).fill([x, y])));
});

/** The palms in a cut-out, best first: { score, hand }. `boxes` and `scores` are the network's; `from` is its square. */
export function palmsIn({ boxes, scores }, from, confidence) {
  const all = Array.from(scores, (logit) => 1 / (1 + Math.exp(-Math.min(100, Math.max(-100, logit)))));
  const least = all.some((score) => score >= confidence) ? confidence : FAINT * confidence;
  let left = [];
  ANCHORS.forEach((anchor, place) => {
    if (all[place] >= least) left.push(decoded(boxes.subarray(place * NUMBERS, (place + 1) * NUMBERS), anchor, all[place]));
  });
  left.sort((one, other) => other.score - one.score);
  const palms = [];
  while (left.length) {
    const [best] = left;
    const same = left.map((other, place) => place === 0 || overlap(best.box, other.box) > SAME_PALM);
    const group = left.filter((_, place) => same[place]);
    left = left.filter((_, place) => !same[place]);
    palms.push({ score: best.score, hand: handOf(from, mean(group, "box"), pairs(mean(group, "keypoints"))) });
  }
  return palms;
}

function decoded(raw, [x, y], score) {
  const numbers = Array.from(raw, (value, place) => (place === 2 || place === 3 ? value / SIDE : value / SIDE + (place % 2 ? y : x)));
  const [across, down, width, height, ...keypoints] = numbers;
  const box = [across - width / 2, down - height / 2, across + width / 2, down + height / 2];
  return { score, box, keypoints };
}

/** The mean of so named lists of numbers, by score. */
function mean(group, name) {
  const sum = group.reduce((total, { score }) => total + score, 0);
  return group[0][name].map((_, place) => group.reduce((total, one) => total + (one.score / sum) * one[name][place], 0));
}

const pairs = (numbers) => numbers.filter((_, place) => place % 2 === 0).map((x, place) => [x, numbers[2 * place + 1]]);

/** The intersection over union of two boxes. */
function overlap(one, other) {
  const area = ([left, top, right, bottom]) => (right - left) * (bottom - top);
  const [left, top] = [Math.max(one[0], other[0]), Math.max(one[1], other[1])];
  const [right, bottom] = [Math.min(one[2], other[2]), Math.min(one[3], other[3])];
  const shared = Math.max(0, right - left) * Math.max(0, bottom - top);
  return shared / Math.max(area(one) + area(other) - shared, 1e-12);
}

/** The square around the hand, its wrist below. */
function handOf(from, [left, top, right, bottom], keypoints) {
  const [width, height] = [(right - left) * from.side, (bottom - top) * from.side];
  const [middle, wrist, knuckle] = inPicture(from, [
    [(left + right) / 2, (top + bottom) / 2],
    keypoints[WRIST],
    keypoints[MIDDLE_KNUCKLE],
  ]);
  const angle = Math.atan2(knuckle[0] - wrist[0], wrist[1] - knuckle[1]);
  const moved = TOWARD_FINGERS * height;
  const [x, y] = [middle[0] + moved * Math.sin(angle), middle[1] - moved * Math.cos(angle)];
  return square(x, y, HAND_SIDE * Math.max(width, height), angle);
}
