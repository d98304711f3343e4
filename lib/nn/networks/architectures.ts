/** Shape of a network, except for its inputs and classes. */
export interface Architecture {
  /** Blocks in each of the four stages; the stem is one more block before them. */
  readonly blocks: readonly number[];
  /** Output channels of the stem, then of the four stages. */
  readonly channels: readonly number[];
  /** Groups of every second block, see {@link groupsOf}. */
  readonly groups: number;
  readonly squeezeExcite: boolean;
}

const deep = [8, 14, 24, 1];
const middle = [4, 6, 16, 1];
const shallow = [2, 4, 14, 1];

/** The networks of the RepVGG paper (arXiv 2101.03697, tables 2 and 3), and D2se from its authors' code. */
const table = {
  a0: architecture(shallow, [0.75, 0.75, 0.75, 2.5]),
  a1: architecture(shallow, [1, 1, 1, 2.5]),
  a2: architecture(shallow, [1.5, 1.5, 1.5, 2.75]),
  b0: architecture(middle, [1, 1, 1, 2.5]),
  b1: architecture(middle, [2, 2, 2, 4]),
  b1g2: architecture(middle, [2, 2, 2, 4], 2),
  b1g4: architecture(middle, [2, 2, 2, 4], 4),
  b2: architecture(middle, [2.5, 2.5, 2.5, 5]),
  b2g2: architecture(middle, [2.5, 2.5, 2.5, 5], 2),
  b2g4: architecture(middle, [2.5, 2.5, 2.5, 5], 4),
  b3: architecture(middle, [3, 3, 3, 5]),
  b3g2: architecture(middle, [3, 3, 3, 5], 2),
  b3g4: architecture(middle, [3, 3, 3, 5], 4),
  d2se: { ...architecture(deep, [2.5, 2.5, 2.5, 5]), squeezeExcite: true },
};

type Size = keyof typeof table;

const families = ['qarepvgg', 'repvgg'] as const;

type Family = (typeof families)[number];

/** Name of a network: the kind of its blocks and its size. */
export type ArchitectureName = `${Family}_${Size}`;

export const architectureNames: readonly ArchitectureName[] = families.flatMap((family) =>
  (Object.keys(table) as Size[]).map((size) => `${family}_${size}` as const),
);

export function architectureOf(name: ArchitectureName): Architecture {
  return table[sizeOf(name)];
}

/** The network of the same size with blocks of a family. */
export function ofFamily(name: ArchitectureName, family: Family): ArchitectureName {
  return `${family}_${sizeOf(name)}`;
}

function sizeOf(name: ArchitectureName): Size {
  return name.slice(name.indexOf('_') + 1) as Size;
}

export function isQARepVGG(name: ArchitectureName): boolean {
  return name.startsWith('qarepvgg_');
}

/** Groups of a block by its index in the network, where the stem is 0: even blocks from 2 to 26 are grouped. */
export function groupsOf({ groups }: Architecture, index: number): number {
  return index % 2 === 0 && index >= 2 && index <= 26 ? groups : 1;
}

/** @param widths Factors of the 64, 128, 256 and 512 channels of the four stages. */
function architecture(blocks: readonly number[], widths: readonly number[], groups = 1): Architecture {
  const stages = widths.map((width, i) => Math.floor(64 * 2 ** i * width));
  return { blocks, channels: [Math.min(64, stages[0] as number), ...stages], groups, squeezeExcite: false };
}
