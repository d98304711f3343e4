import { mismatch, QARepVGGError, quote, recoded } from '../errors';
import type { Form } from '../nn/blocks/structure';
import { type CheckedNetworkOptions, checkNetworkOptions, networkOptionNames } from '../nn/networks/network-options';
import { asText } from '../nn/state/traits';

export type Metadata = Readonly<Record<string, string>>;

/** In the metadata of every file that this package writes; other software looks for `format`. */
export const producer = { format: 'pt', producer: 'qarepvgg' } as const;

/** Whether this package has written the file. */
export function isOurs(metadata: Metadata): boolean {
  return metadata.producer === producer.producer;
}

/**
 * All versions of this package read files of version 1. What older ones would compute wrongly, or not find, has a version that they
 * refuse: a train form without identities, and scales by name in a quantised network.
 */
export const formatVersions = { plain: '1', withoutIdentity: '2', namedScales: '4' } as const;

/** A model of other origin, which older versions of this package do not read either. */
const graphForm = { formatVersion: '3', form: 'graph' } as const;

/** Describes a graph by an ONNX file in base64, without the numbers of its tensors: the file has these under the same names. */
export function describeGraph(graph: Uint8Array): Metadata {
  return { ...producer, ...graphForm, graph: Buffer.from(graph).toString('base64') };
}

/** The reverse of {@link describeGraph}; undefined for a file of another form. @throws {QARepVGGError} ERR_MODEL_FORMAT */
export function readGraphBytes(metadata: Metadata): Uint8Array | undefined {
  if (!isOurs(metadata) || metadata.form !== graphForm.form) return undefined;
  const { formatVersion, graph = '' } = metadata;
  if (formatVersion !== graphForm.formatVersion) {
    const received = `${formatVersion === undefined ? 'none' : quote(formatVersion)}; a newer release of qarepvgg may read it`;
    throw mismatch('ERR_MODEL_FORMAT', `version ${quote(graphForm.formatVersion)} of the format`, received);
  }
  const bytes = Buffer.from(graph, 'base64');
  // A copy, because a Buffer may be part of shared memory.
  if (bytes.length > 0 && bytes.toString('base64') === graph) return Uint8Array.from(bytes);
  throw mismatch('ERR_MODEL_FORMAT', 'metadata graph', 'an ONNX graph in base64', graph ? 'other text' : 'none');
}

/** Options that files of older versions lack, with the values that they had then. */
const laterOptions: Readonly<Record<string, string>> = { identity: 'true' };

/** The form of a network in a file; quantised networks have a form of their own. */
export type FileForm = Form | 'int8';

const forms: readonly string[] = ['train', 'partial', 'deploy', 'int8'] satisfies FileForm[];

/** A network without its weights, as metadata of a file: its form, and every option under its own name. */
export function describeNetwork(options: CheckedNetworkOptions, form: FileForm): Metadata {
  const texts = Object.entries(options).map(([name, value]) => [name, asText(value)] as const);
  const formatVersion = options.identity || form !== 'train' ? formatVersions.plain : formatVersions.withoutIdentity;
  return { ...producer, formatVersion, form, layout: 'official', ...Object.fromEntries(texts) };
}

/** A network without its weights. */
export interface NetworkDescription<F extends FileForm = Form> {
  readonly options: CheckedNetworkOptions;
  readonly form: F;
}

/** The reverse of {@link describeNetwork}. @throws {QARepVGGError} ERR_MODEL_FORMAT */
export function readDescription(metadata: Metadata): NetworkDescription<FileForm> {
  if (!isOurs(metadata) || metadata.formatVersion === undefined) {
    const received = 'another file; make the network with createModel and load the tensors with loadStateDict';
    throw mismatch('ERR_MODEL_FORMAT', 'a file written by saveModel', received);
  }
  const versions: readonly string[] = Object.values(formatVersions);
  if (!versions.includes(metadata.formatVersion)) {
    const received = `${quote(metadata.formatVersion)}; a newer release of qarepvgg may read it`;
    throw mismatch('ERR_MODEL_FORMAT', `version ${versions.map(quote).join(' or ')} of the format`, received);
  }
  const { form, layout } = metadata;
  if (form === undefined || !forms.includes(form)) {
    throw mismatch('ERR_MODEL_FORMAT', 'form', forms.join(', '), quote(`${form}`));
  }
  if (layout !== 'official') throw mismatch('ERR_MODEL_FORMAT', 'layout', '"official"', quote(`${layout}`));
  return { options: readOptions(metadata), form: form as FileForm };
}

function readOptions(metadata: Metadata): CheckedNetworkOptions {
  const given = networkOptionNames.filter((name) => name !== 'labels' || metadata.labels !== undefined);
  try {
    const options = given.map((name) => [name, readOption(name, metadata[name] ?? laterOptions[name])] as const);
    return checkNetworkOptions(metadata.architecture, Object.fromEntries(options));
  } catch (error) {
    if (!(error instanceof QARepVGGError)) throw error;
    throw recoded('ERR_MODEL_FORMAT', error);
  }
}

/** The inverse of {@link asText}. */
function readOption(name: string, text: string | undefined): unknown {
  if (text === undefined) throw mismatch('ERR_MODEL_FORMAT', `metadata ${name}`, 'none');
  if (name === 'variant') return text;
  try {
    return JSON.parse(text);
  } catch {
    throw mismatch('ERR_MODEL_FORMAT', `metadata ${name}`, 'JSON', quote(text));
  }
}
