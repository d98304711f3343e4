import type { Graph } from '../graph';
import { roundedTensor } from '../scaled-tensor';

/** Rounds tensors that passes have computed in double to float32. */
export function roundTensors(graph: Graph): Graph {
  const tensors = [...graph.tensors].map(([name, tensor]) => [name, roundedTensor(tensor)] as const);
  return { ...graph, tensors: new Map(tensors) };
}
