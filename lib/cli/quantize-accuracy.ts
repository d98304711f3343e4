import { type AccuracyReport, InferenceSession, type Model, type Tensor } from '../index';
import { imageDims } from '../model/image-layout';
import type { ImageList } from '../vision/list-images';
import { type PhotoInput, type PhotoTensor, photoTensors } from './quantize-photos';

/** The most images on which accuracy is judged. */
export const mostJudged = 1000;

/**
 * Accuracy of a classifier before and after, on photographs in a folder for each class. Undefined where the folder has classes
 * that the model lacks.
 */
export async function judgeModels(
  float: Model,
  quantized: Model,
  { classes, images }: ImageList,
  input: PhotoInput,
): Promise<AccuracyReport | undefined> {
  const { labels = [] } = float;
  const [output] = float.outputs;
  const fits = output?.dims.length === 2 && output.dims[1] === labels.length;
  if (!output || !fits || classes.length < 2 || classes.some((name) => !labels.includes(name))) return undefined;
  const open = { inputs: dimsOf(float, input) };
  const [one, other] = [await InferenceSession.create(float, open), await InferenceSession.create(quantized, open)];
  const best = async (session: InferenceSession, tensor: PhotoTensor): Promise<number> => {
    const fetches = await session.run({ [session.inputNames[0] as string]: tensor });
    const { data } = fetches[output.name] as unknown as Tensor;
    return data.indexOf(data.reduce((a, b) => Math.max(a, b)));
  };
  let [right, rightQuantized, same, count] = [0, 0, 0, 0];
  try {
    for (const { path, label } of images) {
      // Unreadable files have been listed already.
      for await (const tensor of photoTensors([path], input, () => undefined)) {
        const [a, b] = [await best(one, tensor), await best(other, tensor)];
        const wanted = labels.indexOf(classes[label] as string);
        right += Number(a === wanted);
        rightQuantized += Number(b === wanted);
        same += Number(a === b);
        count++;
      }
    }
  } finally {
    one.dispose();
    other.dispose();
  }
  if (count === 0) return undefined;
  return { images: count, float: right / count, quantized: rightQuantized / count, agreement: same / count };
}

function dimsOf({ inputs: [input] }: Model, { size, ...layout }: PhotoInput): Record<string, number[]> {
  const count = typeof input?.dims[0] === 'number' ? input.dims[0] : 1;
  return { [input?.name as string]: imageDims(layout, count, [size.height, size.width]) };
}
