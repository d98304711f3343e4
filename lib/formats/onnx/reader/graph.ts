import { describeList, mismatch, quote } from '../../../errors';
import { checkNodes } from '../../../graph/check-nodes';
import { dataTypeOf } from '../../../graph/data-types';
import type { Dim, Graph, GraphTensor, Value } from '../../../graph/graph';
import { inlineBranches } from '../../../graph/inline-branches';
import type { Additions } from '../../../graph/ops/op';
import type { Steps } from '../../../slices';
import type { GraphFields, ModelFile, ValueFields } from '../schema';
import type { BranchReader } from './branches';
import { withComputedOutputs } from './computed-outputs';
import { Faults } from './faults';
import { Functions } from './functions';
import { NodeReader } from './nodes';
import { inOrder } from './order';
import { type ExternalBytes, readTensor } from './tensors';

/** How many nodes and tensors are read in one step. */
const stepNodes = 2 ** 10;

/** The opsets that are read. A few forms before opset 7 are refused because of their attributes. */
const opsets = [1, 21] as const;

/** A graph that {@link checkedGraph} has to check, and what is known to be wrong with its nodes. */
export interface DraftGraph {
  readonly graph: Graph;
  readonly faults: Faults;
}

/**
 * Reads the graph of a model file, but not the numbers of its floats.
 *
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE, ERR_MODEL_FORMAT
 */
export function* readGraph(file: ModelFile, external: ExternalBytes): Steps<DraftGraph> {
  const { graph } = file;
  if (!graph) throw mismatch('ERR_MODEL_FORMAT', 'a model with a graph', 'none');
  const opset = readOpset(file);
  const tensors = yield* readTensors(graph, external);
  const inputs = graph.inputs.filter(({ name = '' }) => !tensors.has(name)).map((input) => readValue(input));
  checkNames(inputs);
  const faults = new Faults();
  const additions = additionsTo(graph, tensors);
  const functions = new Functions(file.functions, additions);
  let count = 0;
  const branches: BranchReader = {
    name: (hint) => additions.name(hint),
    *tensors({ initializers }) {
      const names = new Map<string, string>();
      for (const fields of initializers) {
        const name = additions.name(fields.name ?? '');
        tensors.set(name, yield* readTensor(fields, external));
        names.set(fields.name ?? '', name);
      }
      return names;
    },
    *nodes(fields, found, depth) {
      const reader = new NodeReader(opset, additions, external, found, branches, depth);
      for (const node of fields) {
        for (const plain of file.functions.length > 0 ? functions.inline(node) : [node]) {
          if (++count % stepNodes === 0) yield;
          yield* reader.add(plain);
        }
      }
      return reader.nodes;
    },
  };
  const read = yield* branches.nodes(graph.nodes, faults, 0);
  yield;
  const given = new Set([...inputs.map(({ name }) => name), ...tensors.keys()]);
  const outputs = graph.outputs.map(({ name = '' }) => name);
  const described = [...graph.values, ...graph.outputs].flatMap((value) => tryValue(value));
  const known = new Map([...described, ...inputs].map((value) => [value.name, value]));
  // What a node that is not known makes is missing: its readers are not at fault.
  const ordered = faults.count > 0 ? read : inOrder(read, given, faults);
  yield;
  const nodes = withComputedOutputs(ordered, outputs, faults);
  return { graph: { inputs, outputs, nodes, tensors, values: known }, faults };
}

/**
 * @param finite Names of tensors that are known to be finite.
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE naming every node that cannot be computed; ERR_MODEL_FORMAT for a graph that
 * is not consistent; ERR_NON_FINITE.
 */
export function* checkedGraph({ graph: draft, faults }: DraftGraph, finite: ReadonlySet<string>): Steps<Graph> {
  const graph = faults.count > 0 ? draft : inlineBranches(draft);
  yield* checkNodes(graph, faults, finite);
  faults.check();
  const { inputs, outputs, nodes, tensors } = graph;
  const values = [...inputs.map(({ name }) => name), ...tensors.keys(), ...nodes.flatMap((node) => node.outputs)];
  const made = new Set(values);
  const odd = repeated(outputs) ?? outputs.find((name) => !made.has(name));
  if (odd !== undefined || outputs.length === 0) {
    throw mismatch(
      'ERR_MODEL_FORMAT',
      'outputs',
      'names of values, each once',
      describeList(odd === undefined ? [] : [odd]),
    );
  }
  return graph;
}

function readOpset({ opsets: given }: ModelFile): number {
  const own = given.find(({ domain }) => !domain || domain === 'ai.onnx');
  const version = own?.version ?? 1;
  if (version >= opsets[0] && version <= opsets[1]) return version;
  throw mismatch('ERR_MODEL_INCOMPATIBLE', `an ONNX file of opset ${opsets[0]} to ${opsets[1]}`, String(version));
}

/** Two tensors of one name are refused: in onnxruntime, the first counts if they are large, and the second if they are small. */
function* readTensors(graph: GraphFields, external: ExternalBytes): Steps<Map<string, GraphTensor>> {
  if (graph.sparse.length > 0) throw mismatch('ERR_MODEL_INCOMPATIBLE', 'dense tensors', 'sparse ones');
  const odd = repeated(graph.initializers.map(({ name = '' }) => name));
  if (odd !== undefined) throw mismatch('ERR_MODEL_FORMAT', 'tensors', 'names, each once', quote(odd));
  const tensors = new Map<string, GraphTensor>();
  for (const [i, fields] of graph.initializers.entries()) {
    if (i % stepNodes === stepNodes - 1) yield;
    tensors.set(fields.name ?? '', yield* readTensor(fields, external));
  }
  return tensors;
}

/** @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE unless it is a tensor of numbers with dims. */
function readValue(fields: ValueFields): Value {
  const [value] = tryValue(fields);
  if (value) return value;
  const place = `input ${quote(fields.name ?? '')}`;
  throw mismatch('ERR_MODEL_INCOMPATIBLE', place, 'a tensor of numbers with dims, open or not', 'another type');
}

function tryValue({ name = '', type }: ValueFields): Value[] {
  const element = dataTypeOf(type?.tensor?.elementType ?? 0);
  const dims = type?.tensor?.shape?.dims;
  if (!element || !dims) return [];
  const open = (i: number): string => `${name}_dim${i}`;
  const lengths = dims.map(
    ({ value, param }, i): Dim => (value !== undefined && value >= 0 ? value : param || open(i)),
  );
  return [{ name, type: element, dims: lengths }];
}

function checkNames(inputs: readonly Value[]): void {
  const names = inputs.map(({ name }) => name);
  const odd = names.includes('') ? '' : repeated(names);
  if (odd !== undefined) throw mismatch('ERR_MODEL_FORMAT', 'inputs', 'names, each once', quote(odd));
}

/** The first text that occurs twice. */
function repeated(texts: readonly string[]): string | undefined {
  const seen = new Set<string>();
  return texts.find((text) => seen.size === seen.add(text).size);
}

function additionsTo(graph: GraphFields, tensors: Map<string, GraphTensor>): Additions {
  const used = new Set([
    ...graph.inputs.map(({ name }) => name),
    ...graph.nodes.flatMap(({ outputs }) => outputs),
    ...tensors.keys(),
  ]);
  const counts = new Map<string, number>();
  const name = (hint: string): string => {
    let count = counts.get(hint) ?? 0;
    let free = count === 0 ? hint : `${hint}_${count}`;
    while (used.has(free)) free = `${hint}_${++count}`;
    counts.set(hint, count);
    used.add(free);
    return free;
  };
  return {
    name,
    tensor(tensor) {
      const key = name('constant');
      tensors.set(key, tensor);
      return key;
    },
  };
}
