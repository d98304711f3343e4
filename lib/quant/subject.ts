import type { GraphNode } from '../graph/graph';
import type { Model } from '../model/model';
import type { QuantizationRecipe } from '../model/quantized-model';
import type { AssembledGraph } from './assemble';
import type { FloatGraph, PlaceOf } from './float-graph';
import type { IntegerPlan, PlanOptions } from './plan';

/** What is quantised: a {@link Model}, or modules of this package. They differ in names, in what stays in float, and in the result. */
export interface Subject<M> {
  /** In float. */
  readonly model: Model;
  readonly placeOf: PlaceOf;
  /** What reports and `keepFloat` call a node. */
  nameOf(node: GraphNode): string;
  /** Tells the nodes that `keepFloat` names. @throws {QARepVGGError} ERR_INVALID_ARG for a name that nothing has. */
  keptIn(float: FloatGraph): (node: GraphNode) => boolean;
  /**
   * Whether biases make up for the errors of nodes in front, too: better where noise is strong. They then fit one plan alone, and not
   * those that are tried for advice.
   */
  readonly correctsInTurn: boolean;
  plan(float: FloatGraph, options: PlanOptions): IntegerPlan;
  /** The rows of the report. */
  rows(plan: IntegerPlan): readonly Row[];
  finish(assembled: AssembledGraph, recipe: QuantizationRecipe): Quantized<M>;
}

/** A node that a report shows, with its output. */
export interface Row {
  readonly node: GraphNode;
  readonly kind: string;
  readonly output: string;
  /** Why it is in float. */
  readonly reason?: string | undefined;
}

export interface Quantized<M> {
  readonly model: M;
  /** Of all tensors, and of the same in float32. */
  readonly bytes: number;
  readonly floatBytes: number;
}
