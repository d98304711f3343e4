import { inspect } from 'node:util';
import { boundary, describe, mismatch } from '../errors';
import { type Graph, sizeOf, type Value } from '../graph/graph';
import { opOf } from '../graph/ops';
import { isQuantized } from '../graph/quantized-form';
import { nodeView, specialize } from '../graph/specialize';
import { splitGraph } from '../graph/tail';
import { anything, checkOption, parseOptions, readForeign } from '../options';
import { type Preprocessing, readPreprocessing } from '../preprocessing';
import { refuseClones } from '../uncloneable';
import { imageLayout } from './image-layout';
import { completeInputDims } from './input-dims';

/** Dims, by the name of the input. */
export type InputShapes = Readonly<Record<string, readonly number[]>>;

/** A node in {@link Model.summary}. */
export interface NodeSummary {
  readonly name: string;
  /** The operator, by its name in ONNX. */
  readonly op: string;
  /** Dims of the first output; empty for nodes after NonMaxSuppression, whose dims depend on the data. */
  readonly output: readonly number[];
  /** Numbers in its constants; a constant that several nodes read counts for the first of them. */
  readonly parameters: number;
  /** Multiply-adds of convolutions and products of matrices. */
  readonly macs: number;
}

export interface ModelSummary {
  readonly parameters: number;
  readonly macs: number;
  readonly nodes: readonly NodeSummary[];
}

/** What a model holds besides its graph. */
export interface ModelTraits {
  readonly labels?: readonly string[];
  readonly preprocessing?: Preprocessing;
}

/**
 * A network of any origin: a graph of operators with its tensors. `importOnnx` reads one from a file, `InferenceSession`
 * runs it. A model is immutable.
 *
 * @example
 * const model = await importOnnx<Model>('yolov6n.onnx');
 * console.log(model.inputs, model.summary({ inputs: { images: [1, 3, 640, 640] } }).macs);
 */
export class Model {
  /** 'int8' if any weights are integers: the engine then computes in integers wherever the graph allows. */
  readonly form: 'float32' | 'int8';
  /** Names of the classes, if the file holds them: exporters of detectors write them. */
  readonly labels?: readonly string[];
  /** How the bytes of an image become inputs. */
  readonly preprocessing?: Preprocessing;
  /** @internal */
  readonly graph: Graph;

  /** @internal */
  constructor(graph: Graph, { labels, preprocessing }: ModelTraits = {}) {
    this.graph = graph;
    this.form = isQuantized(graph) ? 'int8' : 'float32';
    if (labels) this.labels = labels;
    if (preprocessing) this.preprocessing = preprocessing;
    refuseClones(this);
  }

  /**
   * Returns the same model with other labels or another preprocessing. What `traits` does not name stays. Files keep both.
   *
   * @throws {QARepVGGError} ERR_INVALID_ARG naming the option.
   *
   * @example
   * await saveModel(model.with({ labels: ['cat', 'dog'] }), 'pets.safetensors');
   */
  with(traits: ModelTraits): Model {
    return boundary('Model.with', () => {
      const { labels, preprocessing } = parseOptions({ labels: anything, preprocessing: anything }, traits);
      const [input] = this.inputs;
      const channels = (input && imageLayout(input)?.channels) ?? input?.dims[1];
      return new Model(this.graph, {
        ...this.#traits(),
        ...(labels !== undefined && { labels: checkOption('labels', () => readLabels(labels)) }),
        ...(preprocessing !== undefined && {
          preprocessing: checkOption('preprocessing', () =>
            readPreprocessing(preprocessing, typeof channels === 'number' ? channels : 3),
          ),
        }),
      });
    });
  }

  /** Tests for a private field, so that no code of a Proxy runs. */
  static [Symbol.hasInstance](value: unknown): value is Model {
    return typeof value === 'object' && value !== null && #traits in value;
  }

  #traits(): ModelTraits {
    const { labels, preprocessing } = this;
    return { ...(labels && { labels }), ...(preprocessing && { preprocessing }) };
  }

  /** Names, types and dims; open dims have names. */
  get inputs(): readonly Value[] {
    return this.graph.inputs;
  }

  /** Names, types and dims; the dims of some outputs may not be known before a run. */
  get outputs(): readonly Value[] {
    return this.graph.outputs.map((name) => ({
      name,
      ...(this.graph.values.get(name) ?? { type: 'float32', dims: [] }),
    }));
  }

  /**
   * Lists every node with its operator, output, parameters and multiply-adds, for inputs of these dims. By default the dims are
   * those of the graph, with a batch of 1.
   *
   * @throws {QARepVGGError} ERR_SHAPE for dims that do not fit or stay open; ERR_INVALID_ARG naming the option.
   */
  summary(options: { readonly inputs?: InputShapes } = {}): ModelSummary {
    return boundary('Model.summary', () => {
      const { inputs } = parseOptions({ inputs: anything }, options);
      const dims = checkOption('inputs', () => completeInputDims(this.graph, inputs));
      const { head, tail } = splitGraph(this.graph);
      const { nodes: left, tensors, values } = specialize(head, dims);
      const copies = new Set(tail?.reads.values());
      const seen = new Set<string>();
      const early = left
        .filter(({ name }) => !copies.has(name))
        .map((node): NodeSummary => {
          const op = opOf(node);
          const fresh = node.inputs.filter((name) => tensors.has(name) && !seen.has(name));
          for (const name of fresh) seen.add(name);
          return {
            name: node.name,
            op: op.onnx,
            output: values.get(node.outputs[0] as string)?.dims as readonly number[],
            parameters: fresh.reduce((sum, name) => sum + sizeOf(tensors.get(name)?.dims ?? []), 0),
            macs: op.macs?.(nodeView(node, values, tensors)) ?? 0,
          };
        });
      const late = (tail?.graph.nodes ?? []).map((node) => ({
        name: node.name,
        op: opOf(node).onnx,
        output: [],
        parameters: 0,
        macs: 0,
      }));
      const nodes = [...early, ...late];
      const total = (of: 'parameters' | 'macs'): number => nodes.reduce((sum, node) => sum + node[of], 0);
      return { parameters: total('parameters'), macs: total('macs'), nodes };
    });
  }

  /** "Model(images -> outputs, 212 nodes)", "Model(images -> outputs, 640 nodes, int8 form)" */
  toString(): string {
    const names = (values: readonly string[]): string => values.join(', ');
    const { inputs, outputs, nodes } = this.graph;
    const form = this.form === 'int8' ? ', int8 form' : '';
    return `Model(${names(inputs.map(({ name }) => name))} -> ${names(outputs)}, ${nodes.length} nodes${form})`;
  }

  /** What `console.log` prints. */
  [inspect.custom](): string {
    return #traits in this ? `${this}` : 'Model {}';
  }
}

function readLabels(value: unknown): readonly string[] {
  const labels = readForeign(() => (Array.isArray(value) ? [...(value as unknown[])] : []));
  if (labels.length > 0 && labels.every((label) => typeof label === 'string')) return Object.freeze(labels) as string[];
  throw mismatch('ERR_INVALID_ARG', 'an array of names', describe(value));
}
