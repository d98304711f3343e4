import path from 'node:path';
import { type Classification, Classifier } from '../vision';
import type { ClassifyFlags } from './classify-command';
import { inputFile } from './input';
import { askAbout, photoOptions, photosOf, skippedPhoto } from './photos';
import { formatTable } from './table';

const packagedModel = path.join(__dirname, '../../models/fashion-mnist.safetensors');

/** The `classify` command. */
export async function classifyPhotos(photos: readonly string[], flags: ClassifyFlags): Promise<void> {
  const { model = packagedModel, top, json } = flags;
  const classifier = await Classifier.create(await inputFile(model), { ...(await photoOptions(flags)), top });
  const answers = await askAbout(classifier, photosOf(photos), flags, ({ image }, signal) =>
    classifier.classify(image, { signal }),
  );
  if (!answers) return;
  const results = answers.map((answer, i): Result => {
    const file = photos[i] as string;
    return 'skipped' in answer ? { file, ...answer } : { file, classes: answer.answer };
  });
  process.stdout.write(json ? `${JSON.stringify(results)}\n` : results.map(describe).join('') + hintFor(flags));
}

/** A user who asks about a cat without `--model` should learn why the answer is a bag. */
function hintFor({ model }: ClassifyFlags): string {
  return model === undefined
    ? '\nby the network in this package, which knows only clothes; --model takes another\n'
    : '';
}

type Result = { readonly file: string } & (
  | { readonly classes: readonly Classification[] }
  | { readonly skipped: string }
);

/** Names come last: ImageNet's are long, and the last column is wrapped. */
function describe(result: Result): string {
  if ('skipped' in result) return skippedPhoto(result);
  const rows = result.classes.map(({ label, score }) => [`${(100 * score).toFixed(1)} %`, label]);
  return `${result.file}\n${formatTable(rows, ['right', 'left'])}`;
}
