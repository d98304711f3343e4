import { mismatch, QARepVGGError, quote } from '../errors';
import { type CheckedNetworkOptions, checkNetworkOptions, networkOptionNames } from '../nn/network-options';
import type { Form } from '../nn/structure';
import { asText } from '../nn/traits';

export type Metadata = Readonly<Record<string, string>>;

/** In the metadata of every file that this package writes; other software looks for `format`. */
export const producer = { format: 'pt', producer: 'qarepvgg' } as const;

/** Whether this package has written the file. */
export function isOurs(metadata: Metadata): boolean {
  return metadata.producer === producer.producer;
}

/** Goes up when older versions of this package could not read what is written. */
const formatVersion = '1';

/** The form of a network in a file; quantised ones, which are deploy forms, have one of their own. */
export type FileForm = Form | 'int8';

const forms: readonly string[] = ['train', 'partial', 'deploy', 'int8'] satisfies FileForm[];

/** A network without its weights, as metadata of a file: its form, and every option under its own name. */
export function describeNetwork(options: CheckedNetworkOptions, form: FileForm): Metadata {
  const texts = Object.entries(options).map(([name, value]) => [name, asText(value)] as const);
  return { ...producer, formatVersion, form, layout: 'official', ...Object.fromEntries(texts) };
}

/** A network without its weights. */
export interface NetworkDescription<F extends FileForm = Form> {
  readonly options: CheckedNetworkOptions;
  readonly form: F;
}

/** What {@link describeNetwork} was given. @throws {QARepVGGError} ERR_MODEL_FORMAT */
export function readDescription(metadata: Metadata, where: string): NetworkDescription<FileForm> {
  if (!isOurs(metadata) || metadata.formatVersion === undefined) {
    const received = 'another one; make the network with createModel and give it the tensors of loadStateDict';
    throw mismatch('ERR_MODEL_FORMAT', where, 'a file that saveModel has written', received);
  }
  if (metadata.formatVersion !== formatVersion) {
    const received = `${quote(metadata.formatVersion)}; a newer release of qarepvgg may read it`;
    throw mismatch('ERR_MODEL_FORMAT', where, `version "${formatVersion}" of the format`, received);
  }
  const { form, layout } = metadata;
  if (form === undefined || !forms.includes(form)) {
    throw mismatch('ERR_MODEL_FORMAT', `${where}, form`, forms.join(', '), quote(`${form}`));
  }
  if (layout !== 'official') throw mismatch('ERR_MODEL_FORMAT', `${where}, layout`, '"official"', quote(`${layout}`));
  return { options: readOptions(metadata, where), form: form as FileForm };
}

function readOptions(metadata: Metadata, where: string): CheckedNetworkOptions {
  const given = networkOptionNames.filter((name) => name !== 'labels' || metadata.labels !== undefined);
  try {
    const options = given.map((name) => [name, readOption(name, metadata[name], where)] as const);
    return checkNetworkOptions(metadata.architecture, Object.fromEntries(options), where);
  } catch (error) {
    if (!(error instanceof QARepVGGError)) throw error;
    throw new QARepVGGError('ERR_MODEL_FORMAT', error.message, { cause: error });
  }
}

/** The inverse of {@link asText}. */
function readOption(name: string, text: string | undefined, where: string): unknown {
  if (text === undefined) throw mismatch('ERR_MODEL_FORMAT', where, `metadata ${name}`, 'none');
  if (name === 'variant') return text;
  try {
    return JSON.parse(text);
  } catch {
    throw mismatch('ERR_MODEL_FORMAT', `${where}, metadata ${name}`, 'JSON', quote(text));
  }
}
