import { quote } from '../errors';
import type { Graph, GraphNode } from '../graph/graph';
import { opOf } from '../graph/ops';
import { Model } from '../model/model';
import type { AssembledGraph } from './assemble';
import { completed, type FloatGraph } from './float-graph';
import { keptNodes } from './keep-float';
import { type IntegerPlan, isTable, planIntegers, reasons } from './plan';
import { isFloat } from './roles';
import type { Quantized, Row, Subject } from './subject';

/** A model whose nodes have names of their own. */
export class ModelSubject implements Subject<Model> {
  readonly model: Model;
  readonly correctsInTurn = false;
  readonly plan = planIntegers;
  readonly #keepFloat: readonly string[];

  constructor(model: Model, keepFloat: readonly string[]) {
    this.model = model;
    this.#keepFloat = keepFloat;
  }

  readonly placeOf = ({ name }: GraphNode): string => `node ${quote(name)}`;

  nameOf({ name }: GraphNode): string {
    return name;
  }

  keptIn({ graph }: FloatGraph): (node: GraphNode) => boolean {
    return keptNodes(this.#keepFloat, graph, this.model.graph);
  }

  /** Nodes that compute in integers or could do so, and tables. */
  rows(plan: IntegerPlan): Row[] {
    const { wiring, nodes, reasons: found } = plan;
    return wiring.graph.nodes
      .filter((node) => nodes.has(node) || isTable(node, plan) || (found.has(node) && isOfInterest(node, plan)))
      .map((node) => ({ node, kind: onnxName(node), output: wiring.stored(node), reason: found.get(node) }));
  }

  /** The whole model with another graph. */
  finish({ graph, plan }: AssembledGraph): Quantized<Model> {
    const { graph: whole, labels, preprocessing } = this.model;
    const traits = { ...(labels && { labels }), ...(preprocessing && { preprocessing }) };
    const model = new Model(completed(graph, plan.float.tail, whole), traits);
    return { model, bytes: bytesOf(graph), floatBytes: bytesOf(plan.wiring.graph) };
  }
}

/** A node that only moves numbers in float costs too little to be of interest. */
function isOfInterest(node: GraphNode, { wiring, reasons: found }: IntegerPlan): boolean {
  const isMoved = wiring.roles.get(node) === 'mover' && found.get(node) === reasons.neighbours;
  return !isMoved && isFloat(node.outputs[0] as string, wiring.graph);
}

/** The operator that a file has for a node, also if a pass has made the node. */
function onnxName(node: GraphNode): string {
  const names: Readonly<Record<string, string>> = { silu: 'SiLU', affine: 'Affine' };
  return opOf(node).onnx || (names[node.op] ?? node.op);
}

function bytesOf({ tensors }: Graph): number {
  return [...tensors.values()].reduce((sum, { data }) => sum + data.length * data.BYTES_PER_ELEMENT, 0);
}
