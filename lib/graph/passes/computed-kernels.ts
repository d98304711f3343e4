import { type Graph, type GraphNode, type GraphTensor, sizeOf } from '../graph';
import { convDims, convWindow } from '../ops/conv';
import type { Window } from '../ops/window';
import { nodeOf, Rewriter } from '../rewriter';
import { tensorOf } from '../tensors';

/**
 * Expresses convolutions whose weights or biases are computed in the run, as trackers have them, because the engine packs weights
 * when it compiles a graph: the pixels under each tap are gathered into a matrix, which is multiplied by that of the weights.
 */
export function writeComputedKernels(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  const isComputed = (name: string): boolean => name !== '' && !rewriter.tensor(name);
  for (const node of rewriter.nodes('conv')) {
    const [x = '', weight = '', bias = ''] = node.inputs;
    if (![weight, bias].some(isComputed)) continue;
    const sums = isComputed(weight)
      ? product(node, rewriter)
      : rewriter.compute(node, 'conv', [x, weight], node.attributes);
    const dims = rewriter
      .dims(sums)
      .slice(1)
      .map((length, i) => (i === 0 ? length : 1));
    const last = bias
      ? nodeOf(node, 'add', [sums, reshaped(bias, dims, node, rewriter)])
      : nodeOf(node, 'identity', [sums]);
    rewriter.replace(node, last);
  }
  return rewriter.finish();
}

/** Computes the convolution without the bias; returns the name of the result. */
function product(node: GraphNode, rewriter: Rewriter): string {
  const [x = '', weight = ''] = node.inputs;
  const view = rewriter.view(node);
  const window = convWindow(view);
  const { kernel, pads } = window;
  const groups = node.attributes.group as number;
  const [n, outputs, ...places] = convDims(view) as [number, number, ...number[]];
  const [, channels, ...extent] = rewriter.dims(x) as [number, number, ...number[]];
  const [before, after] = [pads.slice(0, kernel.length), pads.slice(kernel.length)];
  const amounts = rewriter.addTensor(`${node.name}/pads`, integers([0, 0, ...before, 0, 0, ...after]));
  const padded = rewriter.compute(node, 'pad', [x, amounts], { mode: 'constant' });
  const sides = extent.map((side, i) => side + (before[i] as number) + (after[i] as number));
  const taps = rewriter.addTensor(`${node.name}/taps`, integers(tapsOf(window, places, sides)));
  const planes = reshaped(padded, [n, channels, sizeOf(sides)], node, rewriter);
  const depth = (channels / groups) * sizeOf(kernel);
  const columns = [n, groups, depth, sizeOf(places)];
  const pixels = reshaped(rewriter.compute(node, 'gather', [planes, taps], { axis: 2 }), columns, node, rewriter);
  const rows = reshaped(weight, [1, groups, outputs / groups, depth], node, rewriter);
  return reshaped(rewriter.compute(node, 'matMul', [rows, pixels]), [n, outputs, ...places], node, rewriter);
}

function reshaped(name: string, dims: readonly number[], at: GraphNode, rewriter: Rewriter): string {
  const list = rewriter.addTensor(`${at.name}/dims`, integers(dims));
  return rewriter.compute(at, 'reshape', [name, list], { allowzero: 1 });
}

function integers(values: readonly number[]): GraphTensor {
  return tensorOf('int64', [values.length], values);
}

/** Positions in the image of the pixels under each tap, one tap after the other. */
function tapsOf({ kernel, strides, dilations }: Window, places: readonly number[], sides: readonly number[]): number[] {
  let positions = [0];
  for (const [starts, steps] of [
    [kernel, dilations],
    [places, strides],
  ] as const) {
    starts.forEach((count, axis) => {
      const stride = (steps[axis] as number) * sizeOf(sides.slice(axis + 1));
      positions = positions.flatMap((at) => Array.from({ length: count }, (_, i) => at + i * stride));
    });
  }
  return positions;
}
