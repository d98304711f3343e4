import type { GraphNode } from '../../graph';
import { isMover, movedInputs } from '../../movers';
import type { Integers } from './context';
import { maxDepth, type Scale, sameScale } from './parameters';

/**
 * Rounds a value in floats that consists of moved bytes to a scale, without a conversion after the moves. Bytes of that scale
 * need no rounding; other bytes are converted by a table before they become floats. So the conversions around the reshapes
 * and transpositions at the end of a network vanish. Operands of a concatenation that are not bytes are rounded one by one.
 *
 * @returns the rounded value; nothing if the value does not consist of bytes.
 */
export function regrid(value: string, to: Scale, at: GraphNode, integers: Integers): string | undefined {
  const moved = new MovedValues(to, at, integers);
  return moved.isMoved(value) ? moved.of(value) : undefined;
}

class MovedValues {
  readonly #to: Scale;
  readonly #at: GraphNode;
  readonly #integers: Integers;
  readonly #known = new Map<string, boolean>();
  readonly #made = new Map<string, string>();

  constructor(to: Scale, at: GraphNode, integers: Integers) {
    this.#to = to;
    this.#at = at;
    this.#integers = integers;
  }

  /** Whether a part of the value is bytes that were only moved. */
  isMoved(value: string): boolean {
    const known = this.#known.get(value);
    if (known !== undefined) return known;
    const node = this.#integers.rewriter.maker(value);
    this.#known.set(value, false);
    const isFound =
      node !== undefined &&
      !node.activation &&
      this.#known.size <= maxDepth &&
      (node.op === 'dequantize' ||
        (isMover(node) && node.outputs.length === 1 && movedInputs(node).some((name) => this.isMoved(name))));
    this.#known.set(value, isFound);
    return isFound;
  }

  /** The value, rounded. */
  of(value: string): string {
    const made = this.#made.get(value) ?? this.#make(value);
    this.#made.set(value, made);
    return made;
  }

  #make(value: string): string {
    const [integers, to, at] = [this.#integers, this.#to, this.#at];
    const node = integers.rewriter.maker(value);
    if (!node || !this.isMoved(value)) return integers.roundFloats(value, to, at);
    if (node.op === 'dequantize') {
      const bytes = integers.read(value);
      return !bytes || sameScale(bytes, to) ? value : integers.floats(integers.requantize(bytes, to, at), at);
    }
    const made = new Map(movedInputs(node).map((name) => [name, this.of(name)]));
    if ([...made].every(([name, other]) => name === other)) return value;
    const inputs = node.inputs.map((name) => made.get(name) ?? name);
    const like = { op: node.op, inputs, attributes: node.attributes };
    return integers.rewriter.insert(at, node.name, like, integers.rewriter.value(value));
  }
}
