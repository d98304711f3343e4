import type { GraphNode } from './graph';

/** Operators whose results are numbers of their operands, unchanged: what they do to floats they do to bytes. */
// biome-ignore format: many names a line
export const movers: readonly string[] = [
  'concat', 'split', 'slice', 'gather', 'transpose', 'reshape', 'flatten', 'squeeze', 'unsqueeze', 'identity', 'expand', 'tile',
  'depthToSpace', 'spaceToDepth',
];

const names: ReadonlySet<string> = new Set(movers);

export function isMover({ op }: GraphNode): boolean {
  return names.has(op);
}

/** The inputs that a mover moves the numbers of. The others say where to. */
export function movedInputs({ op, inputs }: GraphNode): readonly string[] {
  return op === 'concat' ? inputs : inputs.slice(0, 1);
}
