import { info } from '../../lib';
import { jsonOf } from '../support/child';

/**
 * Most of what is left is rounding that a network magnifies on its way. The scores of M-LSD are sigmoids of numbers around -6,
 * whose relative error is the absolute one of these numbers; PP-OCR's recognition divides by deviations. Between onnxruntime's own
 * levels of optimisation both differ as much.
 */
const wide: Readonly<Record<string, number>> = { mlsd: 3e-5, 'ppocr-rec': 2e-5 };

function compare(names: readonly string[], env: Record<string, string> = {}): void {
  const script = ['test/support/real-networks.mjs', JSON.stringify(names)];
  const differences = jsonOf<Record<string, Record<'gemm' | 'auto', number>>>(script, env);
  expect(Object.keys(differences)).toEqual(names);
  for (const [name, { gemm, auto }] of Object.entries(differences)) {
    expect([name, gemm < (wide[name] ?? 1e-5), auto < (wide[name] ?? 2e-5)]).toEqual([name, true, true]);
  }
}

/** In processes of their own: onnxruntime-node does not know the typed arrays of a jest realm. */
test.each([
  ['mlsd', 'mlsd-tiny'],
  ['ppocr-det'],
  ['yolov6n', 'yolov6s', 'resnet18', 'mobilenetv2'],
  ['ppocr-cls', 'ppocr-rec', 'blazeface', 'blazeface-front', 'speech-embedding', 'mel-spectrogram'],
])('%s, ...: as in onnxruntime', (...names) => compare(names));

test.each(info().isas.slice(0, -1))('as in onnxruntime on %s', (isa) => {
  compare(['ppocr-cls', 'blazeface-front', 'speech-embedding', 'mobilenetv2'], { QAREPVGG_ISA: isa });
});
