/** Facts about a model -> what reads pictures with it, in onnxruntime's WebAssembly. */

import * as ort from "./onnxruntime/ort.js";
import { Classifier } from "./classifier.js";
import { HandFinder } from "./hand_finder.js";

ort.env.wasm.numThreads = 1; // more need headers that few static servers send

/** Open a network, and return what runs it on an input of so many rows: its outputs by name, as Float32Arrays. */
async function networkOf(file) {
  const session = await ort.InferenceSession.create(file);
  const [input] = session.inputNames;
  return async (numbers, shape) => {
    await new Promise((resolve) => setTimeout(resolve)); // a run blocks the page: here it may answer in between
    const outputs = await session.run({ [input]: new ort.Tensor("float32", numbers, shape) });
    return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, tensor.data]));
  };
}

/** `facts` promises what page.json holds. Gives { read }, whose `read(imageData)` promises a reading. */
export async function readerOf(facts) {
  const { labels, reader } = await facts;
  const files = ["hands/palm.onnx", "hands/landmarks.onnx", "network.onnx"];
  const [palm, landmarks, letters] = await Promise.all(files.map(networkOf));
  const finder = new HandFinder(palm, landmarks, reader);
  const classifier = new Classifier(letters, labels, reader);
  return {
    read: async (imageData) => {
      const hand = await finder.find(imageData);
      const reading = await classifier.read(hand);
      return { ...reading, hand: hand && { side: hand.side, points: hand.landmarks } };
    },
  };
}
