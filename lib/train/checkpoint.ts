import { failure, mismatch, type QARepVGGError, within } from '../errors';
import { allFinite } from '../finite';
import { type Extras, extraPrefix, loadModelWith, saveModelWith } from '../formats/model-files';
import { type FileSource, withinFile } from '../formats/sources';
import { checkSane } from '../nn/blocks/fuse';
import { type Network, networkCoreOf } from '../nn/networks/network';
import type { CheckedNetworkOptions } from '../nn/networks/network-options';
import type { Store } from '../nn/state/state';
import { asText } from '../nn/state/traits';
import { boolean, type Field, integer, number, oneOf, parseOptions, seedField } from '../options';
import type { Engine } from './engine';
import type { Position } from './fit';

/** Name of the tensor that holds the optimiser's memory. */
const memoryName = `${extraPrefix}optimizer`;

/** Key of the metadata that holds everything else, as JSON. */
const noteName = 'training';

/** @throws {QARepVGGError} (rejects) ERR_NON_FINITE, without touching the file; the errors of `saveModel`. */
export async function saveCheckpoint(
  engine: Engine,
  position: Position | undefined,
  path: string | URL,
): Promise<void> {
  engine.pull();
  const { memory, stepCount } = engine.optimizerState();
  checkFinite(networkCoreOf(engine.model).definition.store, memory);
  const tensors = { [memoryName]: { data: memory, dims: [memory.length] } };
  const note = { optimizer: engine.optimizer, stepCount, position };
  await saveModelWith(engine.model, { tensors, metadata: { [noteName]: JSON.stringify(note) } }, path);
}

/** Restores the engine from a checkpoint. @throws {QARepVGGError} (rejects) the errors of `Trainer.loadCheckpoint` */
export async function loadCheckpoint(engine: Engine, path: FileSource): Promise<Position | undefined> {
  const { model, extras } = await loadModelWith(path);
  return withinFile(path, () => restore(engine, model, extras));
}

function restore(engine: Engine, model: Network, extras: Extras): Position | undefined {
  const memory = extras.tensors[memoryName];
  const note = extras.metadata[noteName];
  if (!memory || note === undefined) {
    throw mismatch('ERR_MODEL_FORMAT', 'a checkpoint of a training', 'a model without one');
  }
  const { optimizer, stepCount, position } = readNote(note);
  const [own, given] = [networkCoreOf(engine.model), networkCoreOf(model)];
  if (own.form !== given.form) throw other(`${own.form} form`, `${given.form} form`);
  checkNetwork(own.blueprint.options, given.blueprint.options);
  if (optimizer !== engine.optimizer) throw other(`optimizer ${engine.optimizer}`, optimizer);
  const { length } = engine.optimizerState().memory;
  if (memory.data.length !== length) {
    throw mismatch('ERR_MODEL_FORMAT', memoryName, `${length} numbers`, `${memory.data.length}`);
  }
  checkFinite(given.definition.store, memory.data);
  // The second half of adamw's memory holds means of squares, of which square roots are taken.
  if (optimizer === 'adamw' && memory.data.subarray(length / 2).some((mean) => mean < 0)) {
    throw mismatch('ERR_NON_FINITE', 'means of squares from zero', `others in ${memoryName}`);
  }
  own.definition.store.values.set(given.definition.store.values);
  own.weightsChanged();
  engine.restore({ memory: memory.data, stepCount });
  return position;
}

/** Keeps useless numbers out of files, and keeps a bad file from spoiling the weights at the next step. */
function checkFinite(store: Store, memory: Float32Array): void {
  checkSane(store.slots, store);
  if (!allFinite(memory)) throw mismatch('ERR_NON_FINITE', 'finite numbers', `others in ${memoryName}`);
}

function checkNetwork(own: CheckedNetworkOptions, given: CheckedNetworkOptions): void {
  for (const [name, value] of Object.entries(own) as [keyof CheckedNetworkOptions, unknown][]) {
    // Neither option matters once the weights are loaded.
    if (name === 'seed' || name === 'labels') continue;
    const [expected, received] = [asText(value), asText(given[name])];
    if (expected !== received) throw other(`a network with ${name} ${expected}`, received);
  }
}

function other(expected: string, received: string): QARepVGGError {
  return mismatch('ERR_MODEL_INCOMPATIBLE', `a checkpoint of ${expected}`, received);
}

const count = integer(0, Number.MAX_SAFE_INTEGER);

const courseFields = { seed: seedField, images: count, batchSize: count, flip: boolean(false), shift: count };

const positionFields = {
  course: (value: unknown) => parseOptions(courseFields, value),
  epoch: count,
  batch: count,
  loss: number(0, Number.MAX_VALUE, 0),
  correct: count,
};

const readPosition: Field<Position | undefined> = (value) => {
  if (value === undefined) return undefined;
  const position = parseOptions(positionFields, value);
  const { images, batchSize } = position.course;
  if (position.batch * batchSize <= images) return position;
  throw mismatch('ERR_MODEL_FORMAT', `a batch of an epoch of ${images} images`, `batch ${position.batch}`);
};

const noteFields = { optimizer: oneOf(['sgd', 'adamw'], 'sgd'), stepCount: count, position: readPosition };

/** @throws {QARepVGGError} ERR_MODEL_FORMAT */
function readNote(text: string) {
  try {
    return within(`metadata ${noteName}`, () => parseOptions(noteFields, JSON.parse(text)));
  } catch (error) {
    const { message } = error as Error;
    throw failure('ERR_MODEL_FORMAT', `expected a note on the training, received another: ${message}`, {
      cause: error,
    });
  }
}
