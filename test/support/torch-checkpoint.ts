import type { Tensor } from '../../lib';
import { type Opcode, pickle, storage, tensor, text, torchFile } from './torch-archive';

/** What a checkpoint of {@link checkpointFile} may hold. */
export type Content = Tensor | number | { readonly [name: string]: Content };

function isTensor(content: Content): content is Tensor {
  return typeof content === 'object' && 'data' in content && 'dims' in content;
}

/** A file as torch.save writes it: dicts of float32 tensors, numbers and dicts. */
export function checkpointFile(content: Content): Buffer {
  const storages: Record<string, Buffer> = {};
  const push = (value: Content): Opcode[] => {
    if (typeof value === 'number') return [value];
    if (!isTensor(value)) {
      return ['}(', ...Object.entries(value).flatMap(([name, member]) => [text(name), ...push(member)]), 'u'];
    }
    const { data, dims } = value;
    const key = `${Object.keys(storages).length}`;
    storages[key] = Buffer.from(data.slice().buffer);
    const strides = dims.map((_, i) => dims.slice(i + 1).reduce((product, dim) => product * dim, 1));
    return tensor(storage('FloatStorage', key, data.length), 0, [...dims], strides);
  };
  return torchFile(pickle(...push(content)), storages);
}
