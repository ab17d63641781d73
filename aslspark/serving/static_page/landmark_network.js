/**
 * Cut-outs around hands -> their 21 landmarks; and landmarks -> the squares in which to look again: as
 * images/hands/landmark_network.py and test_time_augmentation.py.
 */

import { axes, inPicture, inSpace, square } from "./square.js";

export const SIDE = 224; // pixels of the network's input
const DEPTH = 0.4; // the network's unit of z, as a share of x's and y's
const PALM = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]; // landmarks: without the fingers' ends
const [WRIST, INDEX, MIDDLE, RING] = [0, 5, 9, 13]; // the wrist, and the knuckles of three fingers
const [TRACKED_SIDE, TRACKED_UP] = [2.0, 0.1]; // the square around PALM, as multiples of its box
const VIEWS = [
  [false, 1.0],
  [false, 0.85],
  [true, 1.15],
]; // of each look after the first: whether it is mirrored, and its side

const triples = (numbers) =>
  Array.from({ length: numbers.length / 3 }, (_, place) => Array.from(numbers.subarray(3 * place, 3 * place + 3)));

/** What the network gives for a square of a picture -> a hand: points in pixels, world in metres, presence, right. */
export function detectionOf({ points, hand, side, world_points: world }, from) {
  const shares = triples(points).map(([x, y, z]) => [x / SIDE, y / SIDE, z / SIDE / DEPTH]);
  return {
    points: inPicture(from, shares),
    world: inSpace(from, triples(world)),
    presence: hand[0],
    right: from.mirrored ? 1 - side[0] : side[0],
  };
}

/** The area of the box around points, in pixels. */
export function areaOf(points) {
  const [low, high] = bounds(points);
  return (high[0] - low[0]) * (high[1] - low[1]);
}

/** The squares around a hand in which it is looked at again. */
export function lookSquares(points, count) {
  const around = trackedSquare(points);
  return VIEWS.slice(0, count).map(([mirrored, side]) => ({ ...around, side: around.side * side, mirrored }));
}

function trackedSquare(points) {
  const up = [0, 1].map(
    (axis) => (points[INDEX][axis] + points[RING][axis]) / 4 + points[MIDDLE][axis] / 2 - points[WRIST][axis],
  );
  const angle = Math.atan2(up[0], -up[1]);
  const [[a, b], [c, d]] = axes({ angle });
  const [low, high] = bounds(PALM.map((place) => points[place]).map(([x, y]) => [x * a + y * c, x * b + y * d])); // upright
  const side = [high[0] - low[0], high[1] - low[1]];
  const [x, y] = [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2 - TRACKED_UP * side[1]];
  return square(a * x + b * y, c * x + d * y, TRACKED_SIDE * Math.max(...side), angle);
}

const bounds = (points) =>
  [Math.min, Math.max].map((end) => [0, 1].map((axis) => end(...points.map((point) => point[axis]))));
