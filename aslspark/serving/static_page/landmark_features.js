/** The landmarks of a hand -> features of its shape, as features/landmarks.py makes them for training. */

const [WRIST, KNUCKLES] = [0, [5, 9, 13, 17]];
const PARENT = [0, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19]; // the point before each one
const [FINGERS, BONES] = [5, 4];
const TIPS = [4, 8, 12, 16, 20];
const MEASURED = [...TIPS, 3, 6, 7, 10, 11, 14, 18, ...KNUCKLES, WRIST];
const PAIRS = MEASURED.flatMap((one, place) =>
  MEASURED.slice(place + 1)
    .filter((other) => [...TIPS, 3].includes(one) || TIPS.includes(other))
    .map((other) => [one, other]),
);
const HANGING = 120; // degrees between the picture's up and a hand's

const minus = (one, other) => one.map((value, axis) => value - other[axis]);
const dot = (one, other) => one.reduce((sum, value, axis) => sum + value * other[axis], 0);
const length = (vector) => Math.sqrt(dot(vector, vector));

/** Features of a hand { landmarks, world } of a side, 'left' or 'right'; upright: turned so that its knuckles are up. */
export function landmarkFeatures({ landmarks, world }, side, upright) {
  const normal = (points) => normalised(points, side === "right" ? 1 : -1, upright);
  const [seen, space] = [normal(landmarks), normal(world)];
  const flat = seen.map(([x, y]) => [x, y, 0]); // the depth is uncertain: it is used as a coordinate only
  const [flatBones, spaceBones] = [flat, space].map(directions);
  return [
    flat.slice(1).map(([x, y]) => [x, y]),
    seen.slice(1).map(([, , z]) => z),
    space.slice(1),
    flatBones.map(([x, y]) => [x, y]),
    spaceBones,
    cosines(flatBones),
    cosines(spaceBones),
    distances(flat),
    distances(space),
  ].flat(2);
}

/** How many features a hand has. */
export const FEATURES = (2 + 1 + 3 + 2 + 3) * 20 + 2 * (FINGERS * BONES + (FINGERS - 1) * (BONES - 1)) + 2 * PAIRS.length;

/** Whether a hand's knuckles are below its wrist, more than HANGING degrees from upright. */
export function hangsDown({ landmarks }) {
  const mean = [0, 1].map((axis) => KNUCKLES.reduce((sum, place) => sum + landmarks[place][axis], 0) / KNUCKLES.length);
  const up = minus(mean, landmarks[WRIST]);
  return -up[1] < Math.cos((HANGING * Math.PI) / 180) * Math.hypot(...up);
}

/** A hand { landmarks, world }, turned by half in the plane of the picture. */
export const halfTurned = ({ landmarks, world }) => ({
  landmarks: landmarks.map(([x, y, z]) => [-x, -y, z]),
  world: world.map(([x, y, z]) => [-x, -y, z]),
});

function normalised(points, side, upright) {
  let moved = points.map((point) => minus(point, points[WRIST])).map(([x, y, z]) => [x * side, y, z]);
  const size = Math.max(...moved.map(([x, y]) => Math.hypot(x, y)), 1e-6);
  moved = moved.map((point) => point.map((value) => value / size));
  if (!upright) return moved;
  const [across, down] = [0, 1].map((axis) => KNUCKLES.reduce((sum, place) => sum + moved[place][axis], 0) / KNUCKLES.length);
  const turn = Math.atan2(across, -down);
  const [cosine, sine] = [Math.cos(turn), Math.sin(turn)];
  return moved.map(([x, y, z]) => [cosine * x + sine * y, cosine * y - sine * x, z]);
}

const directions = (points) =>
  points.slice(1).map((point, place) => {
    const bone = minus(point, points[PARENT[place + 1]]);
    const size = Math.max(length(bone), 1e-6);
    return bone.map((value) => value / size);
  });

function cosines(bones) {
  const fingers = Array.from({ length: FINGERS }, (_, place) => bones.slice(place * BONES, (place + 1) * BONES));
  const along = fingers.map((finger) => finger.slice(1).map((bone, place) => dot(finger[place], bone)));
  const ends = fingers.map((finger) => dot(finger[0], finger[BONES - 1]));
  const between = fingers
    .slice(1)
    .map((finger, place) => finger.slice(1).map((bone, joint) => dot(fingers[place][joint + 1], bone)));
  return [along, ends, between].flat(2);
}

function distances(points) {
  const palm = length(minus(points[9], points[0])) + length(minus(points[5], points[17]));
  return PAIRS.map(([one, other]) => length(minus(points[one], points[other])) / Math.max(palm, 1e-6));
}
