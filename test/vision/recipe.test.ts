import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type ByteImages, importOnnx, type Model } from '../../lib';
import { Classifier } from '../../lib/vision';
import { root } from '../support/child';
import { onnxFile } from '../support/onnx-files';

/** Made by Pillow and PyTorch: test/fixtures/make_recipe_fixture.py. */
const { cases } = JSON.parse(readFileSync(path.join(root, 'test/fixtures/recipe.json'), 'utf8')) as {
  cases: { image: string; box: [left: number, top: number, right: number, bottom: number]; logits: number[] }[];
};

/** As in make_recipe_fixture.py. */
function numbers(count: number, seed: number): number[] {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 24) / 256 - 0.5;
  });
}

function cutOut(name: string, [left, top, right, bottom]: (typeof cases)[number]['box']): ByteImages {
  const file = readFileSync(path.join(root, 'examples/images', `${name}.ppm`)).subarray(-224 * 224 * 3);
  const [height, width] = [bottom - top, right - left];
  const rows = Array.from({ length: height }, (_, y) => {
    const start = 3 * (224 * (top + y) + left);
    return file.subarray(start, start + 3 * width);
  });
  return { data: new Uint8Array(Buffer.concat(rows)), dims: [1, height, width, 3] };
}

let classifier: Classifier;

beforeAll(async () => {
  const model = await importOnnx<Model>(
    onnxFile({
      inputs: { images: [1, 3, 224, 224] },
      outputs: ['logits'],
      nodes: [
        ['Conv', ['images', 'w'], ['c'], { strides: [4, 4], kernel_shape: [7, 7] }],
        ['Relu', ['c'], ['r']],
        ['GlobalAveragePool', ['r'], ['p']],
        ['Flatten', ['p'], ['f'], { axis: 1 }],
        ['Gemm', ['f', 'l'], ['logits'], { transB: 1 }],
      ],
      tensors: { w: [[8, 3, 7, 7], numbers(8 * 3 * 49, 1)], l: [[10, 8], numbers(80, 2)] },
    }),
  );
  classifier = await Classifier.create(model, { top: 10 });
});

afterAll(() => classifier.dispose());

test.each(cases)("$image, $box: the logits of torchvision's recipe for ImageNet", async ({ image, box, logits }) => {
  const scores = await classifier.scores(cutOut(image, box));
  // Differences of logits are those of logarithms of probabilities.
  const own = Array.from(scores, (score) => Math.log(score / (scores[0] as number)) + (logits[0] as number));
  const worst = Math.max(...own.map((value, i) => Math.abs(value - (logits[i] as number))));
  expect(worst).toBeLessThan(1e-3);
});
