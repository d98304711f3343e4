import fc from 'fast-check';
import { InferenceSession, type Tensor } from '../../lib';
import { type NodeSketch, onnxFile } from '../support/onnx-files';

/**
 * Random graphs of images: branches, sums, concats of odd widths, values that several nodes read, several outputs, some of which
 * are read, and nodes that nothing reads. Each against loops in double, and bit by bit for any number of threads and any batch.
 */

interface Value {
  readonly name: string;
  readonly channels: number;
  readonly side: number;
}

interface Dag {
  readonly nodes: readonly NodeSketch[];
  readonly tensors: Readonly<Record<string, readonly [number[], number[]]>>;
  readonly outputs: readonly string[];
  readonly input: Value;
}

/** Choices are numbers from 0 on; what they choose depends on what there is. */
const dag: fc.Arbitrary<Dag> = fc
  .tuple(
    fc.integer({ min: 1, max: 20 }),
    fc.integer({ min: 1, max: 20 }),
    fc.array(fc.array(fc.nat(999), { minLength: 6, maxLength: 6 }), { minLength: 2, maxLength: 12 }),
    fc.array(fc.nat(999), { minLength: 1, maxLength: 4 }),
  )
  .map(([channels, side, choices, wanted]) => build({ name: 'x', channels, side }, choices, wanted));

function build(input: Value, choices: readonly number[][], wanted: readonly number[]): Dag {
  const values = [input];
  const nodes: NodeSketch[] = [];
  const tensors: Record<string, readonly [number[], number[]]> = {};
  const tensor = (name: string, dims: number[], seed: number): string => {
    const length = dims.reduce((product, dim) => product * dim, 1);
    tensors[name] = [dims, Array.from({ length }, (_, i) => Math.fround(Math.sin(seed + 1 + i * 1.7) / 2))];
    return name;
  };
  choices.forEach(([kind = 0, first = 0, second = 0, width = 0, seed = 0, more = 0], i) => {
    const a = values[first % values.length] as Value;
    const alike = values.filter(({ channels, side }) => channels === a.channels && side === a.side);
    const level = values.filter(({ side }) => side === a.side);
    const name = `v${i}`;
    const push = (op: string, inputs: string[], value: Partial<Value>, attributes: NodeSketch[3] = {}): void => {
      nodes.push([op, inputs, [name], attributes]);
      values.push({ ...a, ...value, name });
    };
    switch (kind % 8) {
      case 0:
      case 1: {
        const channels = 1 + (width % 37);
        const kernel = more % 2 ? 3 : 1;
        const stride = a.side > 2 && seed % 3 === 0 ? 2 : 1;
        const pad = (kernel - 1) / 2;
        const inputs = [a.name, tensor(`w${i}`, [channels, a.channels, kernel, kernel], seed)];
        if (seed % 2) inputs.push(tensor(`b${i}`, [channels], seed));
        const side = Math.floor((a.side + 2 * pad - kernel) / stride) + 1;
        push('Conv', inputs, { channels, side }, { pads: [pad, pad, pad, pad], strides: [stride, stride] });
        break;
      }
      case 2:
        push('Add', [a.name, (alike[second % alike.length] as Value).name], {});
        break;
      case 3:
        push('Sub', [a.name, (alike[second % alike.length] as Value).name], {});
        break;
      case 4: {
        const others = [second, width, more].slice(0, 1 + (seed % 3)).map((at) => level[at % level.length] as Value);
        const parts = [a, ...others];
        const channels = parts.reduce((sum, part) => sum + part.channels, 0);
        if (channels > 200) push('Relu', [a.name], {});
        else
          push(
            'Concat',
            parts.map((part) => part.name),
            { channels },
            { axis: 1 },
          );
        break;
      }
      case 5:
        push(more % 2 ? 'Sigmoid' : 'Relu', [a.name], {});
        break;
      case 6:
        push('MaxPool', [a.name], {}, { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [1, 1] });
        break;
      default:
        push('GlobalAveragePool', [a.name], { side: 1 });
    }
  });
  const names = values.slice(1).map(({ name }) => name);
  const outputs = [...new Set(wanted.map((at) => names[at % names.length] as string))];
  return { nodes, tensors, outputs, input };
}

/** One image through the graph, in double. */
function reference({ nodes, tensors, input }: Dag, image: ArrayLike<number>): Map<string, Plane> {
  const values = new Map<string, Plane>([[input.name, { ...input, data: Float64Array.from(image) }]]);
  for (const [op, inputs, [name = ''], attributes = {}] of nodes) {
    const read = inputs.flatMap((one) => values.get(one) ?? []);
    values.set(name, compute(op, read, inputs.slice(1).flatMap((one) => tensors[one] ?? []) as never, attributes));
  }
  return values;
}

interface Plane extends Omit<Value, 'name'> {
  readonly data: Float64Array;
}

function compute(
  op: string,
  [a, ...others]: readonly Plane[],
  constants: readonly (number[] | readonly [number[], number[]])[],
  attributes: NonNullable<NodeSketch[3]>,
): Plane {
  const { channels, side, data } = a as Plane;
  const area = side * side;
  const each = (f: (value: number, i: number) => number): Plane => ({ channels, side, data: data.map(f) });
  switch (op) {
    case 'Add':
      return each((value, i) => value + ((others[0] as Plane).data[i] as number));
    case 'Sub':
      return each((value, i) => value - ((others[0] as Plane).data[i] as number));
    case 'Relu':
      return each((value) => Math.max(0, value));
    case 'Sigmoid':
      return each((value) => 1 / (1 + Math.exp(-value)));
    case 'Concat': {
      const all = [a as Plane, ...others];
      const sum = all.reduce((total, part) => total + part.channels, 0);
      return { channels: sum, side, data: Float64Array.from(all.flatMap((part) => [...part.data])) };
    }
    case 'GlobalAveragePool':
      return {
        channels,
        side: 1,
        data: Float64Array.from({ length: channels }, (_, c) => {
          return data.subarray(c * area, (c + 1) * area).reduce((total, value) => total + value, 0) / area;
        }),
      };
    case 'MaxPool':
      return each((_, i) => {
        const [c, y, x] = [Math.floor(i / area), Math.floor(i / side) % side, i % side];
        let most = Number.NEGATIVE_INFINITY;
        for (let v = Math.max(0, y - 1); v <= Math.min(side - 1, y + 1); v++)
          for (let u = Math.max(0, x - 1); u <= Math.min(side - 1, x + 1); u++)
            most = Math.max(most, data[c * area + v * side + u] as number);
        return most;
      });
    default:
      return convolve(a as Plane, constants as never, attributes as never);
  }
}

function convolve(
  { channels, side, data }: Plane,
  [dims, weight, biasDims, bias]: readonly [number[], number[], number[]?, number[]?],
  { pads: [pad], strides: [stride] }: { pads: [number]; strides: [number] },
): Plane {
  const [outputs, , kernel] = dims as [number, number, number];
  const out = Math.floor((side + 2 * pad - kernel) / stride) + 1;
  const result = new Float64Array(outputs * out * out);
  for (let o = 0; o < outputs; o++)
    for (let y = 0; y < out; y++)
      for (let x = 0; x < out; x++) {
        let sum = biasDims ? ((bias as number[])[o] as number) : 0;
        for (let c = 0; c < channels; c++)
          for (let v = 0; v < kernel; v++)
            for (let u = 0; u < kernel; u++) {
              const [row, column] = [y * stride + v - pad, x * stride + u - pad];
              if (row < 0 || column < 0 || row >= side || column >= side) continue;
              const at = ((o * channels + c) * kernel + v) * kernel + u;
              sum += (weight[at] as number) * (data[c * side * side + row * side + column] as number);
            }
        result[(o * out + y) * out + x] = sum;
      }
  return { channels: outputs, side: out, data: result };
}

function images(count: number, { channels, side }: Value): Tensor {
  const dims = [count, channels, side, side];
  return { data: Float32Array.from({ length: count * channels * side * side }, (_, i) => Math.sin(i * 0.37)), dims };
}

function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [difference, norm] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    difference += ((a[i] as number) - (b[i] as number)) ** 2;
    norm += (b[i] as number) ** 2;
  }
  return Math.sqrt(difference) / Math.max(1e-3, Math.sqrt(norm));
}

test('random graphs: the numbers of plain loops, and the same bits on any team and in any batch', async () => {
  await fc.assert(
    fc.asyncProperty(dag, async (graph) => {
      const { nodes, tensors, outputs, input } = graph;
      const { channels, side } = input;
      const bytes = onnxFile({ inputs: { x: ['n', channels, side, side] }, outputs, nodes, tensors });
      const batch = images(5, input);
      const size = channels * side * side;
      const results: Record<string, Float32Array>[] = [];
      for (const threads of [1, 2, 3, 7]) {
        const session = await InferenceSession.create(bytes, { threads, maxBatch: threads });
        const pending = [0, 1, 2, 3, 4].map((i) =>
          session.run({ x: { data: batch.data.slice(i * size, (i + 1) * size), dims: [1, channels, side, side] } }),
        );
        const all = session.runSync({ x: batch });
        results.push(Object.fromEntries(outputs.map((name) => [name, all[name]?.data as Float32Array])));
        for (const [i, alone] of (await Promise.all(pending)).entries()) {
          for (const name of outputs) {
            const [one, whole] = [alone, all].map((result) => result[name]?.data as Float32Array) as [
              Float32Array,
              Float32Array,
            ];
            const length = whole.length / 5;
            expect(one).toEqual(whole.slice(i * length, (i + 1) * length));
          }
        }
        // What the largest run has needed is all that there will be.
        const { bytes: planned } = session.memoryUsage();
        session.runSync({ x: batch });
        expect(session.memoryUsage().bytes).toBe(planned);
        session.dispose();
      }
      const [first = {}, ...others] = results;
      for (const result of others) expect(result).toEqual(first);
      const right = reference(graph, batch.data.slice(0, size));
      for (const name of outputs) {
        const { data } = right.get(name) as Plane;
        expect(distance((first[name] as Float32Array).subarray(0, data.length), data)).toBeLessThan(1e-3);
      }
    }),
    { numRuns: 12, seed: 7 },
  );
});
