/** The camera; link.js has its frames read. */

import { jpeg } from "./drawing.js";
import { connect } from "./link.js";

const SIDE = 480; // pixels of a frame's longer side; the detector uses fewer

const INSTEAD = "Pictures can be chosen below instead.";
const TROUBLE = {
  NotAllowedError: "This page may not use the camera. Allow it in the browser, at the symbol beside the address, and start it again.",
  NotFoundError: `No camera was found. Connect one and start it again. ${INSTEAD}`,
  NotReadableError: "The camera does not start: another program or page may use it. Close that, and start it again.",
};
const ELSEWHERE =
  "Browsers give a camera to https and localhost alone. Open this page by https, or as http://localhost on the machine " +
  `that serves it. ${INSTEAD}`;
const SLOW = 3000; // milliseconds after which a frame that is not read yet is spoken of
export const GONE = "The camera was disconnected. Connect it and start it again.";

/** Why there can be no camera at this address, in a sentence; null where there can be one. */
export const noCameraHere = () => (globalThis.isSecureContext && navigator.mediaDevices ? null : ELSEWHERE);

/** Why a camera did not start, and what would work, in a sentence. */
export function troubleOf(error) {
  return noCameraHere() ?? TROUBLE[error.name] ?? `The camera does not start (${error.message}). ${INSTEAD}`;
}

export class Camera {
  /**
   * `answered(reading, time)` gets each answer and the time of its frame; `failed(message)` gets errors after which frames
   * go on; `waiting(message)` is called each second in which no answer has come for long; `gone()` is called when the
   * camera has ended by itself.
   */
  constructor(video, { answered, failed, waiting, gone }) {
    this.video = video;
    this.answered = (reading, time) => this.hear(answered, reading, time);
    this.failed = (message) => this.hear(failed, message);
    this.waiting = waiting;
    this.gone = gone;
    this.heard = 0;
    this.clock = null;
    this.stream = null;
    this.link = null;
  }

  get on() {
    return this.stream !== null;
  }

  async start() {
    this.stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" }, audio: false });
    for (const track of this.stream.getTracks()) track.onended = () => this.gone(); // not called after `stop`
    this.video.srcObject = this.stream;
    await this.video.play();
    this.heard = performance.now();
    this.clock = setInterval(() => {
      const silent = performance.now() - this.heard;
      if (this.on && silent > SLOW) this.waiting(`No answer for ${Math.round(silent / 1000)} s; waiting.`);
    }, 1000);
    this.connect();
  }

  /** Pass on what was heard from where frames are read, and take its time. */
  hear(told, ...what) {
    this.heard = performance.now();
    told(...what);
  }

  stop() {
    clearInterval(this.clock);
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
    this.link?.close();
    this.link = null;
  }

  /** A JPEG of what the camera shows now. */
  picture(side = SIDE) {
    return jpeg(this.video, this.video.videoWidth, this.video.videoHeight, side);
  }

  connect() {
    this.link = connect(this);
  }

  /** Have the next frames read by who reads now. */
  reconnect() {
    this.link?.close();
    if (this.on) this.connect();
  }
}
