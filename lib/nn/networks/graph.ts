import type { ConvOp, GlobalAverageOp, Op, SqueezeExciteOp, StateOffset } from '../../../binding';
import { mismatch } from '../../errors';
import type { Dim, Graph, GraphNode, GraphTensor, ValueType } from '../../graph/graph';
import { nodeOf } from '../../graph/rewriter';
import type { Definition } from '../core';
import type { Slot, Store } from '../state/state';

/** Names of the input and the output of every network of this package. */
export const inputName = 'input';
export const outputName = 'logits';

/** The ops of a re-parameterised model. */
export type DeployOp = ConvOp | GlobalAverageOp | SqueezeExciteOp;

/**
 * The ops of a model that is in deploy form: a chain, each op reading the one before it.
 *
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for a model with branches or batch norms left.
 */
export function deployOps(ops: readonly Op[], where: string): readonly DeployOp[] {
  if (ops.every(isDeployOp)) return ops as readonly DeployOp[];
  const received = 'one with branches or batch norms; call model.eval().switchToDeploy() first';
  throw mismatch('ERR_MODEL_INCOMPATIBLE', where, 'a model in deploy form', received);
}

/** A branch shows as an op that does not read the one before it, or as the sum that ends it. */
function isDeployOp(op: Op, index: number): boolean {
  return (op.op === 'conv' || op.op === 'globalAverage' || op.op === 'squeezeExcite') && op.input === index;
}

/**
 * The graph of a module in deploy form, for images of any number and size. Tensors have the names of the state dict, and are
 * views of the module's numbers.
 *
 * @throws {QARepVGGError} ERR_MODEL_INCOMPATIBLE for a module that is not in deploy form.
 */
export function moduleGraph({ ops, store, inChannels, flat = false }: Definition, where: string): Graph {
  const maker = new Maker(store);
  let value = inputName;
  for (const op of deployOps(ops, where)) value = maker.add(op, value);
  const channels = ops.findLast((op) => op.op === 'conv')?.outChannels ?? inChannels;
  return maker.finish(inChannels, ['N', channels, ...(flat ? [] : ['H_out', 'W_out'])]);
}

/** Ops as nodes, with the tensors of a store. A node has one output, of the same name. */
class Maker {
  readonly #store: Store;
  readonly #slots: ReadonlyMap<StateOffset, Slot>;
  readonly #nodes: GraphNode[] = [];
  readonly #tensors = new Map<string, GraphTensor>();

  constructor(store: Store) {
    this.#store = store;
    this.#slots = new Map(store.slots.map((slot) => [slot.offset, slot]));
  }

  /** Appends what computes `op`; the name of its result. */
  add(op: DeployOp, input: string): string {
    if (op.op === 'globalAverage') return this.#node('GlobalAveragePool', 'globalAveragePool', [input]);
    return op.op === 'conv' ? this.#conv(op, input) : this.#squeezeExcite(op, input);
  }

  finish(inChannels: number, outputDims: readonly Dim[]): Graph {
    const last = this.#nodes.pop() as GraphNode;
    const output: ValueType = { type: 'float32', dims: outputDims };
    return {
      inputs: [{ name: inputName, type: 'float32', dims: ['N', inChannels, 'H', 'W'] }],
      outputs: [outputName],
      nodes: [...this.#nodes, { ...last, outputs: [outputName] }],
      tensors: this.#tensors,
      values: new Map([[outputName, output]]),
    };
  }

  #conv(op: ConvOp, input: string): string {
    const { dilation, groups: group, kernel, padding, stride } = op;
    const { name, dims } = this.#slot(op.weight);
    const prefix = prefixOf(name);
    const tensors = [op.weight, op.bias].flatMap((offset) => (offset === undefined ? [] : [this.#tensor(offset)]));
    const attributes = {
      dilations: [dilation, dilation],
      group,
      kernel_shape: [kernel, kernel],
      pads: [padding, padding, padding, padding],
      strides: [stride, stride],
    };
    const output =
      dims.length === 2
        ? this.#node(`${prefix}Gemm`, 'gemm', [this.#node(`${prefix}Flatten`, 'flatten', [input]), ...tensors], {
            transB: 1,
          })
        : this.#node(`${prefix}Conv`, 'conv', [input, ...tensors], attributes);
    return op.relu ? this.#node(`${prefix}Relu`, 'relu', [output]) : output;
  }

  #squeezeExcite(op: SqueezeExciteOp, input: string): string {
    const linear = (prefix: string, from: string, weight: StateOffset, bias: StateOffset): string => {
      return this.#node(`${prefix}Conv`, 'conv', [from, this.#tensor(weight), this.#tensor(bias)], {
        kernel_shape: [1, 1],
      });
    };
    const [down, up] = [op.downWeight, op.upWeight].map((offset) => prefixOf(this.#slot(offset).name)) as [
      string,
      string,
    ];
    const mean = this.#node(`${down}GlobalAveragePool`, 'globalAveragePool', [input]);
    const reduced = this.#node(`${down}Relu`, 'relu', [linear(down, mean, op.downWeight, op.downBias)]);
    const gate = this.#node(`${up}Sigmoid`, 'sigmoid', [linear(up, reduced, op.upWeight, op.upBias)]);
    const output = this.#node(`${up}Mul`, 'mul', [input, gate]);
    return op.relu ? this.#node(`${up}Relu`, 'relu', [output]) : output;
  }

  #node(name: string, op: string, inputs: readonly string[], attributes: GraphNode['attributes'] = {}): string {
    this.#nodes.push(nodeOf({ name, outputs: [name] }, op, inputs, attributes));
    return name;
  }

  #tensor(offset: StateOffset): string {
    const { name, dims } = this.#slot(offset);
    this.#tensors.set(name, { type: 'float32', dims, data: this.#store.view(name) });
    return name;
  }

  #slot(offset: StateOffset): Slot {
    return this.#slots.get(offset) as Slot;
  }
}

/** "stage1.0.rbr_reparam." for "stage1.0.rbr_reparam.weight", nothing for "weight". */
function prefixOf(name: string): string {
  return name.slice(0, name.lastIndexOf('.') + 1);
}
