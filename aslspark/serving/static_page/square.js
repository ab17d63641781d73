/**
 * Squares in a picture, turned and mirrored -> their pixels; and points of a square -> points of the picture.
 *
 * As aslspark/images/hands/square.py, whose pictures are cut by Pillow: the same sums, so that the networks see the same.
 */

/** A square: its middle and side in pixels, the angle from the picture's up to its own, clockwise, in radians. */
export const square = (x, y, side, angle = 0, mirrored = false) => ({ x, y, side, angle, mirrored });

/** The directions of its x and y in the picture, as the columns of a matrix. */
export function axes({ angle, mirrored }) {
  const [cosine, sine, across] = [Math.cos(angle), Math.sin(angle), mirrored ? -1 : 1];
  return [
    [across * cosine, -sine],
    [across * sine, cosine],
  ];
}

/** Whether the middles are nearer to each other than a quarter of the other's side. */
export const isNear = (one, other) => Math.hypot(one.x - other.x, one.y - other.y) < other.side / 4;

/** Points [x, y, z] in metres, from a square's axes to the picture's. */
export function inSpace(of, points) {
  const [[a, b], [c, d]] = axes(of);
  return points.map(([x, y, z]) => [x * a + y * b, x * c + y * d, z]);
}

/** Points [x, y, z] from shares of a square's side to pixels of the picture. */
export function inPicture(of, points) {
  const scaled = points.map(([x, y, z = 0]) => [(x - 0.5) * of.side, (y - 0.5) * of.side, z * of.side]);
  return inSpace(of, scaled).map(([x, y, z]) => [x + of.x, y + of.y, z]);
}

/** A picture that squares are cut from; its smaller copies are made once. */
export class Picture {
  constructor({ width, height, data }) {
    this.width = width;
    this.height = height;
    this.copies = new Map([[1, { width, height, data }]]);
  }

  get longerSide() {
    return Math.max(this.width, this.height);
  }

  /** Cut a square out, as RGB of 0-1 (pixels, pixels, 3); what lies outside of the picture is black. */
  cut(of, pixels) {
    const factor = Math.max(1, Math.floor(of.side / pixels)); // single pixels of a large picture would be noise
    if (!this.copies.has(factor)) this.copies.set(factor, reduced(this.copies.get(1), factor));
    const copy = this.copies.get(factor);
    const [[a, b], [c, d]] = axes(of).map((row) => row.map((value) => (value * of.side) / pixels / factor));
    const half = pixels / 2;
    // The first pixel's middle lies at the corner, as in MediaPipe. In this order: what is cut off hangs on the last bit.
    const left = of.x / factor - (a * half + b * half) + (0.5 / factor - (a * 0.5 + b * 0.5));
    const top = of.y / factor - (c * half + d * half) + (0.5 / factor - (c * 0.5 + d * 0.5));
    const cut = new Float32Array(pixels * pixels * 3);
    for (let row = 0, at = 0; row < pixels; row += 1) {
      for (let column = 0; column < pixels; column += 1, at += 3) {
        const [x, y] = [column + 0.5, row + 0.5];
        sample(copy, a * x + b * y + left, c * x + d * y + top, cut, at);
      }
    }
    return cut;
  }
}

/** Put the colour of a place into `target`: between the four pixels around it, in whole numbers cut off, as Pillow. */
function sample({ width, height, data }, x, y, target, at) {
  if (x < 0 || x >= width || y < 0 || y >= height) return;
  const [column, row] = [Math.floor(x - 0.5), Math.floor(y - 0.5)];
  const [right, down] = [x - 0.5 - column, y - 0.5 - row];
  const [one, other] = [Math.max(column, 0) * 4, Math.min(column + 1, width - 1) * 4];
  const upper = Math.max(row, 0) * width * 4;
  const lower = Math.min(row + 1, height - 1) * width * 4;
  for (let band = 0; band < 3; band += 1) {
    const above = data[upper + one + band] + (data[upper + other + band] - data[upper + one + band]) * right;
    const below = data[lower + one + band] + (data[lower + other + band] - data[lower + one + band]) * right;
    target[at + band] = Math.trunc(above + (below - above) * down) / 255;
  }
}

/** A copy whose pixels are the means of squares of so many pixels, rounded as Pillow's `reduce` rounds them. */
function reduced({ width, height, data }, factor) {
  const [across, down] = [Math.ceil(width / factor), Math.ceil(height / factor)];
  const made = new Uint8ClampedArray(across * down * 4);
  for (let row = 0; row < down; row += 1) {
    const bottom = Math.min((row + 1) * factor, height);
    for (let column = 0; column < across; column += 1) {
      const right = Math.min((column + 1) * factor, width);
      const count = (bottom - row * factor) * (right - column * factor);
      const share = Math.floor(Math.fround(2 ** 32 / (256 * count)));
      for (let band = 0; band < 3; band += 1) {
        let sum = Math.floor(count / 2);
        for (let y = row * factor; y < bottom; y += 1) {
          for (let x = column * factor; x < right; x += 1) sum += data[(y * width + x) * 4 + band];
        }
        made[(row * across + column) * 4 + band] = Math.floor((sum * share) / 2 ** 24);
      }
    }
  }
  return { width: across, height: down, data: made };
}
