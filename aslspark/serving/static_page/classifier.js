/** A hand -> the letter, by the bundle's network: as models/onnx_classifier.py, scoring/calibration.py and answers.py. */

import { FEATURES, halfTurned, hangsDown, landmarkFeatures } from "./landmark_features.js";

const MOST_LOOKS = 4; // the hand's own points stand in for looks that are missing
const LEAST_PROBABILITY = 1e-7; // replaces smaller ones, whose logarithm would outweigh all others
const TOP_COUNT = 3;
const NOTHING = "nothing"; // a model that has this label may answer it where no hand was found

export class Classifier {
  /** `network` runs the network; the rest is what page.json says of it. */
  constructor(network, labels, { upright, temperature, threshold }) {
    Object.assign(this, { network, labels, upright, temperature, threshold });
  }

  /** The reading of a hand from `HandFinder`, or of none (null), as the service gives it. */
  async read(hand) {
    if (!hand && !this.labels.includes(NOTHING)) return { letter: null, probability: null, top: [], reason: "no hand found" };
    const given = hand ? await this.ofHand(hand) : await this.run([new Float32Array(FEATURES)]);
    const shares = withTemperature(given, this.temperature);
    const best = given.map((_, place) => place).sort((one, other) => given[other] - given[one]);
    const top = best.slice(0, TOP_COUNT).map((place) => ({ letter: this.labels[place], probability: shares[place] }));
    const [{ letter, probability }] = top;
    const sure = probability >= Math.fround(this.threshold);
    return { letter: sure ? letter : null, probability, top, reason: sure ? null : "not sure" };
  }

  /** Probabilities of a hand. One that hangs down is read turned by half, too, and the surer reading counts. */
  async ofHand(hand) {
    const views = [hand, ...hand.looks, ...Array(MOST_LOOKS - hand.looks.length).fill(hand)];
    const given = await this.ofViews(views, hand.side);
    if (!hangsDown(hand)) return given;
    const turned = await this.ofViews(views.map(halfTurned), hand.side);
    return Math.max(...turned) > Math.max(...given) ? turned : given;
  }

  ofViews(views, side) {
    return this.run(views.map((view) => landmarkFeatures(view, side, this.upright)));
  }

  /** The mean of the probabilities of rows of features. */
  async run(rows) {
    const { probability } = await this.network(Float32Array.from(rows.flatMap((row) => [...row])), [rows.length, FEATURES]);
    const count = this.labels.length;
    return this.labels.map((_, place) =>
      Math.fround(rows.reduce((sum, _, row) => sum + probability[row * count + place], 0) / rows.length),
    );
  }
}

/** Divide the logarithms by the temperature, and normalise to a sum of 1. */
function withTemperature(given, temperature) {
  if (temperature === 1) return given;
  const logs = given.map((share) => Math.log(Math.max(share, LEAST_PROBABILITY)) / temperature);
  const highest = Math.max(...logs);
  const powers = logs.map((value) => Math.exp(value - highest));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => Math.fround(value / sum));
}
