import type { FastifyInstance } from 'fastify';
import { describe, mismatch } from '../../errors';
import { readImage } from '../../index';
import { prepareImage } from '../../vision/prepare';
import { rank, softmax } from '../../vision/ranking';
import { viewAs } from '../datatypes';
import type { WireTensor } from '../types';
import { readBody } from './body';
import { beginVisit, type Context, modelOf, modelRoute } from './context';
import { admitted } from './infer';

const maxTop = 1000;

/** An image file in, its most probable classes out: for people and scripts, not part of the protocol. */
export async function classify(app: FastifyInstance, context: Context): Promise<void> {
  const { maxPixels, maxBody } = context.options;
  modelRoute(app, 'POST', '/classify', async (request, reply) => {
    const model = modelOf(request, context);
    const { top, crop: asked } = readQuery(request.query as Record<string, unknown>);
    const { hold, cancellation } = beginVisit(reply, context);
    const decoding = new AbortController();
    const { signal } = decoding;
    cancellation.onCancel = () => decoding.abort();
    const deadline = performance.now() + model.settings.timeout;
    const input = await admitted(model, async () => {
      const { image } = model.engine;
      const [output] = model.engine.outputs;
      if (!image || (image.channels !== 1 && image.channels !== 3) || output?.shape.length !== 2) {
        throw mismatch(
          'ERR_INVALID_ARG',
          'classify',
          'a model that classifies grey or colour images',
          'one of other inputs or outputs',
        );
      }
      if (request.headers['content-type']?.startsWith('multipart/')) {
        throw mismatch(
          'ERR_INVALID_ARG',
          'classify',
          'the bytes of an image (curl --data-binary @image.jpg)',
          'a multipart form',
        );
      }
      const { channels } = image;
      // A decoder does not stop at once.
      const body = await readBody(request, hold, { limit: maxBody, outlivesRequest: true });
      const decoded = await readImage(body, {
        channels: channels as 1 | 3,
        maxPixels,
        timeout: model.settings.timeout,
        signal,
      });
      const crop = asked ?? image.preprocessing.crop;
      const { data } = await prepareImage(decoded, image, { crop, signal });
      return {
        name: model.engine.inputs[0]?.name as string,
        datatype: 'UINT8' as const,
        shape: [1, image.height, image.width, channels],
        bytes: data,
      };
    });
    const { outputs, modelName, modelVersion } = await model.infer({ inputs: [input], deadline, cancellation });
    const [logits] = outputs as [WireTensor];
    const values = viewAs(logits.datatype, logits.bytes) as Float32Array;
    const probabilities = softmax(values);
    const classes = rank(values, top, model.labels).map(({ value, ...entry }) => ({
      ...entry,
      probability: probabilities[entry.index],
      logit: value,
    }));
    return { model_name: modelName, model_version: modelVersion, classes };
  });
}

/** `top`: how many classes; `crop`: the share of the image that is used. */
function readQuery({ top = '5', crop }: Record<string, unknown>): { top: number; crop: number | undefined } {
  const count = typeof top === 'string' && /^\d{1,4}$/.test(top) ? Number(top) : 0;
  if (count < 1 || count > maxTop)
    throw mismatch('ERR_INVALID_ARG', 'top', `a number from 1 to ${maxTop}`, describe(top));
  if (crop === undefined) return { top: count, crop };
  const share = typeof crop === 'string' && /^(0?\.\d{1,6}|1(\.0*)?)$/.test(crop) ? Number(crop) : 0;
  if (share < 0.1) throw mismatch('ERR_INVALID_ARG', 'crop', 'a share from 0.1 to 1', describe(crop));
  return { top: count, crop: share };
}
