// Boxes as detectors find them, and as they do not: what non-maximum suppression is timed on.

/** @typedef {(random: () => number) => [x: number, y: number, width: number, height: number]} Scene */

/** @type {Record<string, Scene>} */
const scenes = {
  /** Everywhere, 10 to 70 pixels. */
  spread: (random) => [640 * random(), 640 * random(), 10 + 60 * random(), 10 + 60 * random()],
  /** Many around each of 20 objects, as a detector has them. */
  objects: (random) => {
    const object = Math.floor(20 * random());
    const [x, y] = [(object * 97) % 600, (object * 53) % 600];
    return [x + 12 * random(), y + 12 * random(), 80 + 10 * random(), 90 + 10 * random()];
  },
  /** Larger than half of the image. */
  large: (random) => [300 * random(), 300 * random(), 100 + 240 * random(), 100 + 240 * random()],
  /** Of all sizes, from 10 to 600 pixels. */
  mixed: (random) => {
    const side = 10 * 60 ** random();
    return [640 * random() - side / 2, 640 * random() - side / 2, side * (0.5 + random()), side * (0.5 + random())];
  },
  /** All of one object. */
  one: (random) => [100 + 5 * random(), 100 + 5 * random(), 100 + 5 * random(), 100 + 5 * random()],
  /** Too small to meet. */
  tiny: (random) => [640 * random(), 640 * random(), 2 + 3 * random(), 2 + 3 * random()],
};

export const sceneNames = Object.keys(scenes);

/** The same boxes every time. @param {string} name @param {number} count @param {number} [classes] */
export function sceneOf(name, count, classes) {
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const scene = /** @type {Scene} */ (scenes[name]);
  const boxes = new Float64Array(4 * count);
  for (let i = 0; i < count; i++) boxes.set(scene(random), 4 * i);
  return {
    boxes,
    scores: new Float64Array(count).map(random),
    ...(classes && { classes: new Int32Array(count).map(() => Math.floor(classes * random())) }),
  };
}
