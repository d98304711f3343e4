import { types } from 'node:util';
import { mismatch, QARepVGGError, quote, within } from '../errors';
import { checkFinite } from '../finite';
import type { Steps } from '../slices';
import { constantNodes } from './fold-constants';
import type { Graph, GraphNode, ValueType } from './graph';
import { lateNodes } from './late';
import { opOf } from './ops';
import type { SketchNode } from './ops/op';
import { NodeView } from './specialize';
import { computedLate } from './tail';

/** Where faults go. */
export interface NodeFaults {
  refused(node: string, op: string, error: QARepVGGError, place: string): void;
}

/**
 * Reports nodes that cannot be computed whatever the dims of a run are, as far as attributes, constants and inputs show it:
 * attributes that contradict the weights, forms that the engine does not have, parameters that are computed from data, weights that
 * are not finite.
 *
 * @param finite Names of tensors that are known to be finite.
 */
export function* checkNodes(graph: Graph, faults: NodeFaults, finite: ReadonlySet<string>): Steps<void> {
  const constants = constantNodes(graph);
  const late = lateNodes(graph);
  const data = dataValues(graph, constants, late);
  const sources = sourcesOf(graph);
  // What a file says of other values may be wrong, and onnxruntime runs it nevertheless.
  const known = new Map<string, ValueType>([
    ...graph.inputs.map((value) => [value.name, value] as const),
    ...graph.tensors,
  ]);
  for (const node of graph.nodes) {
    if (constants.has(node)) continue;
    if (node.op in weights) yield;
    const { check, parameters = [], onnx, evaluate } = opOf(node);
    const inputs = node.inputs.map((name) => known.get(name));
    const sketch = new NodeView(node, inputs);
    try {
      check?.(sketch);
      if (late.has(node) && !evaluate && !node.branches)
        throw mismatch('ERR_MODEL_INCOMPATIBLE', sketch.place, computedLate, 'another one');
      checkWeights(sketch, graph.tensors, finite);
      for (const i of parameters) {
        const name = node.inputs[i];
        if (name === undefined) continue;
        // Weights that depend on the image that they are for would need a new plan for every image.
        if (late.has(node)) continue;
        const isDynamic = node.op in weights && sources(name) & sources(node.inputs[0] as string);
        if (!data.has(name) && !isDynamic) continue;
        const expected = `input ${i} (${quote(name)}) to follow from constants and from the dims of the inputs`;
        throw mismatch('ERR_MODEL_INCOMPATIBLE', sketch.place, expected, 'one that is computed from data');
      }
    } catch (error) {
      if (!(error instanceof QARepVGGError)) throw error;
      faults.refused(node.name, onnx, error, sketch.place);
    }
  }
}

/**
 * Values that only the engine can compute, in a run: those of operators that are neither folded nor expressed by such, and what
 * follows from their numbers. Nodes after NonMaxSuppression are computed when all numbers are known.
 */
function dataValues(
  graph: Graph,
  constants: ReadonlySet<GraphNode>,
  late: ReadonlySet<GraphNode>,
): ReadonlySet<string> {
  const data = new Set<string>();
  for (const node of graph.nodes) {
    const { evaluate, writeOut, lower, dimsOnly } = opOf(node);
    const isWritten = writeOut !== undefined && lower === undefined;
    const isData = !(evaluate || isWritten || node.branches) || node.inputs.some((name) => data.has(name));
    if (!isData || constants.has(node) || dimsOnly || late.has(node)) continue;
    for (const name of node.outputs) data.add(name);
  }
  return data;
}

/** Operators with weights, and the inputs that have them. */
const weights: Readonly<Record<string, readonly number[]>> = {
  batchNormalization: [1, 2, 3, 4],
  conv: [1],
  convInteger: [1],
  convTranspose: [1],
  gemm: [1],
};

/** A network whose training diverged has weights that are not; its results would be NaN. Other constants may be: masks. */
function checkWeights(view: SketchNode, tensors: Graph['tensors'], finite: ReadonlySet<string>): void {
  const { op, inputs } = view.node;
  for (const i of weights[op] ?? []) {
    const name = inputs[i] ?? '';
    if (finite.has(name)) continue;
    const data = tensors.get(name)?.data;
    if (!types.isFloat32Array(data) || data.length === 0) continue;
    within(`${view.place}, ${quote(name)}`, () => checkFinite(data));
  }
}

/** Returns on which inputs of floats the numbers of a value depend, as bits. */
function sourcesOf({ inputs, nodes }: Graph): (name: string) => number {
  const floats = inputs.filter(({ type }) => type === 'float32').slice(0, 32);
  const bits = new Map(floats.map(({ name }, i) => [name, 1 << i]));
  const bitsOf = (name: string): number => bits.get(name) ?? 0;
  for (const node of nodes) {
    if (opOf(node).dimsOnly) continue;
    const all = node.inputs.reduce((sum, name) => sum | bitsOf(name), 0);
    if (all !== 0) for (const name of node.outputs) bits.set(name, all);
  }
  return bitsOf;
}
