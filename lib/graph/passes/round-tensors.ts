import { types } from 'node:util';
import type { Graph } from '../graph';

/** Rounds tensors that passes have computed in double to float32. */
export function roundTensors(graph: Graph): Graph {
  const tensors = [...graph.tensors].map(([name, tensor]) => {
    if (!types.isFloat64Array(tensor.data)) return [name, tensor] as const;
    return [name, { ...tensor, data: new Float32Array(tensor.data) }] as const;
  });
  return { ...graph, tensors: new Map(tensors) };
}
