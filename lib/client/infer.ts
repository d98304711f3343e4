import { describe, mismatch, within } from '../errors';
import { readForeign } from '../options';
import { type Body, lengthHeader, octets } from './http';
import { encodeTensor, parametersJson } from './tensors';
import type { Parameters } from './types';

/** What a request for inference asks for besides its tensors. */
export interface Wanted {
  readonly id?: string | undefined;
  readonly parameters: Parameters;
  /** Output names and their parameters; all outputs where it is undefined. */
  readonly outputs?: readonly { readonly name: string; readonly parameters: Parameters }[] | undefined;
  readonly binary: boolean;
}

/**
 * The body of a request and its headers. Tensors are copied, so the caller may change them afterwards.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG, ERR_DTYPE, ERR_SHAPE for feeds that are no tensors.
 */
export function encodeRequest(feeds: unknown, wanted: Wanted): Body {
  if (typeof feeds !== 'object' || feeds === null) {
    throw mismatch('ERR_INVALID_ARG', 'feeds', 'an object of tensors by name', describe(feeds));
  }
  const { id, binary } = wanted;
  const tensors = Object.entries(within('feeds', () => readForeign(() => ({ ...feeds })))).map(([name, tensor]) =>
    within(name, () => encodeTensor(name, tensor, binary)),
  );
  const outputs = wanted.outputs?.map(({ name, parameters }) => {
    const all = binary ? { ...parameters, binary_data: true } : parameters;
    return `{"name":${JSON.stringify(name)}${parametersJson(all)}}`;
  });
  const ofRequest = binary && !outputs ? { ...wanted.parameters, binary_data_output: true } : wanted.parameters;
  const fields = [`"inputs":[${tensors.map(({ json }) => json).join()}]`];
  if (id !== undefined) fields.unshift(`"id":${JSON.stringify(id)}`);
  if (outputs) fields.push(`"outputs":[${outputs.join()}]`);
  const head = Buffer.from(`{${fields.join()}${parametersJson(ofRequest)}}`);
  if (!binary) return { bytes: head, headers: { 'content-type': 'application/json' } };
  return {
    bytes: Buffer.concat([head, ...tensors.flatMap(({ bytes }) => (bytes ? [bytes] : []))]),
    headers: { 'content-type': octets, [lengthHeader]: String(head.length) },
  };
}
