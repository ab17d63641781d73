/**
 * A picture -> the hand in it, by two networks, as images/hands/detector.py and search_squares.py find it: one finds
 * palms, the other the landmarks of a hand. Where none is found at once, it is searched for in framed versions and in
 * parts of the picture, and at last by the faint palms that each search saw. Of several hands, it is the one with the largest
 * area times score.
 */

import { SIDE as LANDMARK_SIDE, areaOf, detectionOf, lookSquares } from "./landmark_network.js";
import { SIDE as PALM_SIDE, palmsIn } from "./palms.js";
import { Picture, isNear, square } from "./square.js";

const LEAST_PRESENCE = 0.5; // of the landmark network, for a hand to count
const CANDIDATES = 2; // palms of a search whose landmarks are looked at
const BORDERS = [3.0, 1.7]; // sides, as multiples of the picture's longer one
const PARTS = [0.6, 0.35]; // sides, as shares of the picture's shorter side; of a strip, of half its longer side
const OVERLAP = 0.25; // least share of their sides by which neighbours overlap

/** The searches of a picture, until one finds a hand: lists of squares. */
export function* searchSquares(width, height) {
  const [x, y, longer] = [width / 2, height / 2, Math.max(width, height)];
  yield [square(x, y, longer)];
  yield BORDERS.map((border) => square(x, y, longer * border));
  yield PARTS.flatMap((part) => {
    const side = Math.max(Math.min(width, height), longer / 2) * part;
    return offsets(height, side).flatMap((top) =>
      offsets(width, side).map((left) => square(left + side / 2, top + side / 2, side)),
    );
  });
}

function offsets(length, side) {
  if (length <= side) return [(length - side) / 2];
  const count = Math.ceil((length - side) / (side * (1 - OVERLAP))) + 1;
  return Array.from({ length: count }, (_, place) => ((length - side) * place) / (count - 1));
}

export class HandFinder {
  /** `palm` and `landmarks` run the networks; `confidence` is the least score of a palm, `looks` the views of a hand. */
  constructor(palm, landmarks, { confidence, looks }) {
    this.palm = palm;
    this.landmarks = landmarks;
    this.confidence = confidence;
    this.looks = looks;
  }

  /** The hand in the pixels of a canvas, or null: see `handOf`. */
  async find(imageData) {
    const picture = new Picture(imageData);
    const faint = [];
    for (const squares of searchSquares(picture.width, picture.height)) {
      const palms = await this.palms(picture, squares);
      const hand = await this.best(picture, palms.filter(({ score }) => score >= this.confidence));
      if (hand) return this.refined(picture, hand);
      faint.push(palms.filter(({ score }) => score < this.confidence));
    }
    for (const palms of faint) {
      const hand = await this.best(picture, palms);
      if (hand) return this.refined(picture, hand);
    }
    return null;
  }

  async palms(picture, squares) {
    const palms = [];
    for (const from of squares) {
      const given = await this.palm(picture.cut(from, PALM_SIDE), [1, PALM_SIDE, PALM_SIDE, 3]);
      palms.push(...palmsIn(given, from, this.confidence));
    }
    return palms;
  }

  /** The best hand by the landmarks of the best palms, or null. */
  async best(picture, palms) {
    const distinct = []; // without those that another square showed better
    for (const palm of [...palms].sort((one, other) => other.score - one.score)) {
      if (!distinct.some(({ hand }) => isNear(palm.hand, hand))) distinct.push(palm);
    }
    const weight = (hand) => areaOf(hand.points) * hand.presence;
    let best = null;
    for (const palm of distinct.slice(0, CANDIDATES)) {
      const hand = await this.look(picture, palm.hand);
      if (hand.presence >= LEAST_PRESENCE && (best === null || weight(best) < weight(hand))) best = hand;
    }
    return best;
  }

  async look(picture, from) {
    return detectionOf(await this.landmarks(picture.cut(from, LANDMARK_SIDE), [1, LANDMARK_SIDE, LANDMARK_SIDE, 3]), from);
  }

  /** Look at a hand again, and combine what is seen; the first look then serves to find the place alone. */
  async refined(picture, first) {
    const looks = [];
    for (const from of lookSquares(first.points, this.looks - 1)) {
      const hand = await this.look(picture, from);
      if (hand.presence >= LEAST_PRESENCE) looks.push(hand);
    }
    return handOf(looks.length ? looks : [first], picture.longerSide);
  }
}

/**
 * What looks at a hand agree on: landmarks [x, y, z] in shares of the picture's longer side, world in metres, side; and
 * the landmarks and world of each look.
 */
function handOf(looks, longerSide) {
  const shares = (points) => points.map((point) => point.map((value) => Math.fround(value / longerSide)));
  const agreed = (name) => looks[0][name].map((point, place) => point.map((_, axis) => median(looks.map((look) => look[name][place][axis]))));
  const right = looks.reduce((sum, look) => sum + 2 * look.right - 1, 0);
  return {
    landmarks: shares(agreed("points")),
    world: agreed("world").map((point) => point.map(Math.fround)),
    side: right > 0 ? "right" : "left",
    looks: looks.map(({ points, world }) => ({ landmarks: shares(points), world: world.map((point) => point.map(Math.fround)) })),
  };
}

function median(values) {
  const sorted = [...values].sort((one, other) => one - other);
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
}
