/** Strokes of a letter, by its pixel: whether it is dark. @type {readonly ((x: number, y: number, height: number) => boolean)[]} */
const letters = [
  (x, y) => x < 2 || y < 2,
  (x, y, height) => x > 3 || y > height - 3 || y === height >> 1,
  (x) => x < 2 || x > 3,
];

/**
 * A page with lines of what looks like dark text on a bright ground, [h, w, c] from 0 to 255. On noise a detector finds nothing, and
 * its answer of numbers close to 0 says little about whether two engines agree.
 *
 * @param {number} height
 * @param {number} width
 * @param {number} channels
 * @param {number} seed
 */
export function page(height, width, channels, seed) {
  let state = seed;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const pixels = new Float32Array(height * width * channels).map(() => Math.round(230 - 20 * random()));
  for (let top = 8; top + 12 < height; top += 24) {
    for (let left = 6; left + 8 < width; left += 8 + Math.floor(3 * random())) {
      const tall = 10 + Math.floor(4 * random());
      const shade = Math.round(20 + 30 * random());
      const letter = letters[Math.floor(4 * random())]; // the fourth is a gap
      for (let y = 0; y < tall && top + y < height; y++) {
        for (let x = 0; x < 6; x++) {
          const start = ((top + y) * width + left + x) * channels;
          if (letter?.(x, y, tall)) pixels.fill(shade, start, start + channels);
        }
      }
    }
  }
  return pixels;
}
