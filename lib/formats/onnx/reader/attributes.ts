import { describe } from '../../../errors';
import type { AttributeValue } from '../../../graph/graph';
import type { AttributeKind, AttributeTable, FileNode } from '../../../graph/ops/op';
import type { Steps } from '../../../slices';
import { type AttributeFields, attributeTypes } from '../schema';
import { type ExternalBytes, readTensor } from './tensors';

const texts = new TextDecoder('utf-8', { fatal: true });

/** Reads the value of an attribute, unless it is a tensor. @throws {Error} if it is a graph or missing. */
export function readAttribute(fields: AttributeFields): AttributeValue | undefined {
  switch (fields.type ?? guessType(fields)) {
    case attributeTypes.float:
      return fields.float ?? 0;
    case attributeTypes.int:
      return fields.int ?? 0;
    case attributeTypes.text:
      return texts.decode(fields.text ?? new Uint8Array());
    case attributeTypes.tensor:
      return undefined;
    case attributeTypes.floats:
      return fields.floats;
    case attributeTypes.ints:
      return fields.ints;
    case attributeTypes.texts:
      return fields.texts.map((bytes) => texts.decode(bytes));
    default:
      throw new Error('a graph, or an unknown type');
  }
}

/** Reads the tensor of an attribute. @throws {Error} if it has none. */
export function* readTensorIn({ tensor }: AttributeFields, external: ExternalBytes): Steps<AttributeValue> {
  if (tensor) return yield* readTensor(tensor, external);
  throw new Error('no tensor');
}

/** Files from before 2017 do not name types. */
function guessType(fields: AttributeFields): number {
  const single = (['float', 'int', 'text', 'tensor', 'graph'] as const).find((name) => fields[name] !== undefined);
  const many = (['floats', 'ints', 'texts', 'graphs'] as const).find((name) => fields[name].length > 0);
  return attributeTypes[single ?? many ?? 'ints'];
}

/** Returns the attributes of a node with defaults filled in. @throws {Error} saying which one is wrong. */
export function completeAttributes(node: FileNode, table: AttributeTable): Record<string, AttributeValue | undefined> {
  for (const name of node.attributes.keys()) {
    if (!Object.hasOwn(table, name)) throw new Error(`attribute ${name}, which is not known`);
  }
  const complete: Record<string, AttributeValue | undefined> = {};
  for (const name of Object.keys(table)) {
    const kind = table[name] as AttributeKind;
    const value = node.attributes.get(name);
    if (value === undefined && kind.required) throw new Error(`no attribute ${name}`);
    complete[name] = value === undefined ? (kind.fallback as AttributeValue | undefined) : checked(name, kind, value);
  }
  return complete;
}

function checked(name: string, { kind }: AttributeKind, value: AttributeValue): AttributeValue {
  if (tests[kind](value)) return value;
  throw new Error(`attribute ${name}: expected ${kind}, received ${describe(value)}`);
}

const isList = (value: AttributeValue): value is readonly number[] | readonly string[] => Array.isArray(value);

const tests: Readonly<Record<AttributeKind['kind'], (value: AttributeValue) => boolean>> = {
  int: (value) => Number.isInteger(value),
  float: (value) => typeof value === 'number',
  text: (value) => typeof value === 'string',
  tensor: (value) => typeof value === 'object' && !isList(value),
  ints: (value) => isList(value) && value.every(Number.isInteger),
  floats: (value) => isList(value) && value.every((entry) => typeof entry === 'number'),
  texts: (value) => isList(value) && value.every((entry) => typeof entry === 'string'),
};
