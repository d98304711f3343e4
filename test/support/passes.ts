import { within } from '../../lib/errors';
import type { Graph } from '../../lib/graph/graph';
import { optimize } from '../../lib/graph/passes';
import { specialize } from '../../lib/graph/specialize';
import { Random } from '../../lib/random';
import { atOnce } from '../../lib/slices';
import { evaluate } from './evaluate';
import { graphOf, type ModelSketch, type NodeSketch } from './onnx-files';

const random = new Random(7);

export function numbers(count: number): number[] {
  const data = new Float32Array(count);
  random.fillNormal(data, 0, 1);
  return Array.from(data);
}

export type Shapes = Readonly<Record<string, readonly number[]>>;

/** Tensors of these dims with random numbers; variances, whose names begin with v, are positive. */
export function tensors(shapes: Shapes): NonNullable<ModelSketch['tensors']> {
  const count = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
  const fill = (name: string, dims: readonly number[]) =>
    numbers(count(dims)).map((value) => (name.startsWith('v') ? Math.abs(value) + 0.5 : value));
  return Object.fromEntries(Object.entries(shapes).map(([name, dims]) => [name, [dims, fill(name, dims)]]));
}

/** "conv relu, add": the ops that are left, each with its activation. */
export function opsOf({ nodes }: Graph): string {
  return nodes
    .map(({ op, activation, inputs }) => `${op}${inputs[3] ? '+' : ''}${activation ? ` ${activation.kind}` : ''}`)
    .join(', ');
}

/** Optimises a graph, checks that it computes the same, and tells what is left. */
export async function passes(
  sketch: Omit<ModelSketch, 'outputs'> & { outputs?: string[] },
  x = [2, 4, 5, 6],
): Promise<string> {
  const graph = await graphOf({ inputs: { x: x.map((_, i) => `d${i}`) }, outputs: ['y'], ...sketch });
  const dims = new Map([['x', x]]);
  const feeds = { x: numbers(x.reduce((a, b) => a * b)) };
  const expected = evaluate(
    within('test', () => specialize(graph, dims)),
    feeds,
  );
  const optimized = within('test', () => atOnce(optimize(graph, dims)));
  for (const [name, values] of Object.entries(evaluate(optimized, feeds))) {
    const scale = Math.max(...(expected[name] as number[]).map(Math.abs));
    const worst = Math.max(...values.map((value, i) => Math.abs(value - (expected[name]?.[i] as number))));
    expect(worst / scale).toBeLessThan(1e-5);
    expect(values.length).toBe(expected[name]?.length);
  }
  return opsOf(optimized);
}

export const batchNorm = (from: string, to: string, key = 'n'): NodeSketch => [
  'BatchNormalization',
  [from, `g${key}`, `b${key}`, `m${key}`, `v${key}`],
  [to],
];
export const normTensors = (channels: number, key = 'n'): Shapes => ({
  [`g${key}`]: [channels],
  [`b${key}`]: [channels],
  [`m${key}`]: [channels],
  [`v${key}`]: [channels],
});
export const conv = (from: string, weight: string, to: string, attributes = {}): NodeSketch => [
  'Conv',
  [from, weight],
  [to],
  attributes,
];
export const pads1 = { pads: [1, 1, 1, 1] };
