/** What a video or an image shows -> a JPEG; the points of a hand -> its outline on a canvas. */

const QUALITY = 0.85;
const LINES = [
  [0, 1, 2, 3, 4],
  [0, 5, 6, 7, 8],
  [5, 9, 10, 11, 12],
  [9, 13, 14, 15, 16],
  [13, 17, 18, 19, 20],
  [0, 17],
];

/** Draw what a video or an image shows into a JPEG of at most `side` pixels. */
export function jpeg(source, width, height, side) {
  const share = Math.min(1, side / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * share));
  canvas.height = Math.max(1, Math.round(height * share));
  canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture"))), "image/jpeg", QUALITY),
  );
}

/** Outline the hand in a picture of that size: the hull around its points, and its bones. */
export function outline(canvas, width, height, hand) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  if (!hand) return;
  const longer = Math.max(width, height);
  const points = hand.points.map(([x, y]) => [x * longer, y * longer]);
  pen.lineJoin = pen.lineCap = "round";
  const reach = 0.09 * Math.max(...points.map(([x, y]) => Math.hypot(x - points[0][0], y - points[0][1])));
  trace(pen, hull(points), true);
  pen.strokeStyle = pen.fillStyle = "#ffcd28";
  pen.lineWidth = 2 * reach;
  pen.stroke();
  pen.fill();
  pen.globalCompositeOperation = "destination-in"; // so that the overlap of edge and inside is no more opaque
  pen.fillStyle = "rgba(0, 0, 0, 0.28)";
  pen.fillRect(0, 0, width, height);
  pen.globalCompositeOperation = "source-over";
  for (const [colour, thick] of [["#101418", 7], ["#ffcd28", 3.5]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = (thick * longer) / 640;
    for (const line of LINES) {
      trace(pen, line.map((place) => points[place]), false);
      pen.stroke();
    }
  }
}

function trace(pen, points, closed) {
  pen.beginPath();
  points.forEach(([x, y], place) => (place ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  if (closed) pen.closePath();
}

/** The corners of the convex hull (A. M. Andrew, 1979). */
function hull(points) {
  const ordered = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const half = (line) => {
    const kept = [];
    for (const [x, y] of line) {
      while (kept.length > 1) {
        const [[ax, ay], [bx, by]] = kept.slice(-2);
        if ((bx - ax) * (y - by) - (by - ay) * (x - bx) > 0) break;
        kept.pop();
      }
      kept.push([x, y]);
    }
    return kept.slice(0, -1);
  };
  return [...half(ordered), ...half(ordered.reverse())];
}
