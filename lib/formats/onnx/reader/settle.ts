import { addon } from '../../../binding';
import { externalLocation, float32, type GraphFields, type TensorFields } from '../schema';

/** A graph whose floats are on their way to where they are aligned. */
export interface Settling {
  readonly graph: GraphFields;
  /** Names of initializers that are finite, once all floats are in place. Until then nothing may read them. */
  readonly finite: Promise<ReadonlySet<string>>;
}

/** A field of at least this many bytes has three or more bytes before it: its number, and a length of two or more bytes. */
const roomyField = 128;

/**
 * Aligns floats by moving them in place, over the length that precedes them in the file, because a copy would touch new memory. Use
 * it only for bytes that nothing else reads, and only once after decoding.
 */
export function settleFloats(graph: GraphFields): Settling {
  const names: (string | undefined)[] = [];
  const places: number[] = [];
  let buffer: ArrayBufferLike | undefined;
  const placed = (fields: TensorFields, name?: string): TensorFields => {
    const { rawData, dataType, location } = fields;
    const isFloats = rawData && dataType === float32 && rawData.length >= roomyField && rawData.length % 4 === 0;
    if (!isFloats || location === externalLocation) return fields;
    const { byteOffset, length } = rawData;
    buffer = rawData.buffer;
    names.push(name);
    places.push(byteOffset, length / 4);
    return { ...fields, rawData: new Uint8Array(buffer, byteOffset - (byteOffset % 4), length) };
  };
  const initializers = graph.initializers.map((fields) => placed(fields, fields.name ?? ''));
  const nodes = graph.nodes.map((node) => {
    if (!node.attributes.some(({ tensor }) => tensor)) return node;
    const attributes = node.attributes.map((one) => (one.tensor ? { ...one, tensor: placed(one.tensor) } : one));
    return { ...node, attributes };
  });
  const moving = buffer ? addon.settleFloats(buffer as ArrayBuffer, Float64Array.from(places)) : Promise.resolve([]);
  const finite = moving.then((indices) => {
    const odd = new Set(indices);
    return new Set(names.filter((name, i): name is string => name !== undefined && !odd.has(i)));
  });
  return { graph: { ...graph, initializers, nodes }, finite };
}
