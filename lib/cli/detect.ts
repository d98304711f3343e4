import path from 'node:path';
import { quote, within } from '../errors';
import { writeAtomically } from '../formats/atomic';
import type { DetectFlags } from './detect-command';
import { boxesPage, boxesPicture, type FoundInPhoto } from './draw-boxes';
import { filesOf } from './input';
import { checkOutputs } from './outputs';
import { askAbout, detectorOf, photosOf, skippedPhoto } from './photos';
import { formatTable } from './table';
import { misuse } from './usage';

/** The `detect` command. */
export async function detectIn(photos: readonly string[], flags: DetectFlags): Promise<void> {
  const { model, out, json } = flags;
  if (out !== undefined) await checkOut(out, photos, model);
  const detector = await detectorOf(flags);
  const answers = await askAbout(detector, photosOf(photos), flags, ({ image }, signal) =>
    detector.detect(image, { signal }),
  );
  if (!answers) return;
  const results = answers.map((answer, i): Result => {
    const file = photos[i] as string;
    return 'skipped' in answer ? { file, ...answer } : { file, detections: answer.answer };
  });
  const found = results.flatMap((result) => ('skipped' in result ? [] : [result]));
  if (out !== undefined)
    await within('--out', async () => writeAtomically(out, await drawn(out, found, detector.labels ?? [])));
  if (json) {
    process.stdout.write(`${JSON.stringify(results)}\n`);
    return;
  }
  process.stdout.write(results.map(describe).join(''));
  if (out !== undefined) process.stdout.write(`\nwritten to ${out}\n`);
}

async function checkOut(out: string, photos: readonly string[], model: string): Promise<void> {
  const endings = photos.length === 1 ? ['.png', '.jpg', '.html'] : ['.html'];
  if (!endings.includes(path.extname(out).toLowerCase())) {
    const expected = `a name that ends in ${endings.join(' or ')} for ${photos.length === 1 ? 'a photograph' : 'several photographs'}`;
    throw misuse('--out', expected, quote(out));
  }
  await checkOutputs([{ name: '--out', file: out, format: 'report' }], filesOf(model, ...photos));
}

async function drawn(out: string, results: readonly FoundInPhoto[], labels: readonly string[]): Promise<Uint8Array> {
  const [first] = results as [FoundInPhoto];
  const ending = path.extname(out).toLowerCase();
  if (ending === '.html') return Buffer.from(await boxesPage(results, labels));
  return boxesPicture(first, labels, ending === '.png' ? 'png' : 'jpeg');
}

type Result = FoundInPhoto | { readonly file: string; readonly skipped: string };

function describe(result: Result): string {
  if ('skipped' in result) return skippedPhoto(result);
  const { file, detections } = result;
  if (detections.length === 0) return `${file}\n  nothing found\n`;
  const rows = detections.map(({ label, score, box }) => [
    `${(100 * score).toFixed(1)} %`,
    ...box.map((value) => value.toFixed(1)),
    label,
  ]);
  const header = ['score', 'x', 'y', 'width', 'height', 'label'];
  return `${file}\n${formatTable([header, ...rows], ['right', 'right', 'right', 'right', 'right', 'left'])}`;
}
