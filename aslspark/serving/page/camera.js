/** The camera; link.js has its frames read. */

import { jpeg } from "./drawing.js";
import { connect } from "./link.js";

const SIDE = 480; // pixels of a frame's longer side; the detector uses fewer

export class Camera {
  /** `answered(reading, time)` gets each answer and the time of its frame; `failed(message)` gets errors. */
  constructor(video, answered, failed) {
    this.video = video;
    this.answered = answered;
    this.failed = failed;
    this.stream = null;
    this.link = null;
  }

  get on() {
    return this.stream !== null;
  }

  async start() {
    if (!navigator.mediaDevices) throw new Error("the browser gives cameras to https and localhost alone");
    this.stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" }, audio: false });
    this.video.srcObject = this.stream;
    await this.video.play();
    this.connect();
  }

  stop() {
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
}
