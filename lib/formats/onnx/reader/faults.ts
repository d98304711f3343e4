import { type ErrorCode, failure, quote } from '../../../errors';

/** At most this many nodes are named; the others are only counted. */
const maxNamed = 200;

/** Collects all problems with the nodes of a file, and throws them as one error. */
export class Faults {
  readonly #found: string[] = [];
  #isDamage = false;
  #isDynamic = false;

  /** Adds a node that this package does not compute. @param problem begins with its operator */
  unsupported(node: string, problem: string): void {
    this.#isDynamic ||= problem.startsWith('DynamicQuantize');
    this.#found.push(`${quote(node)} (${problem})`);
  }

  /** Adds a node that is not valid. */
  damaged(node: string, problem: string): void {
    this.#isDamage = true;
    this.unsupported(node, problem);
  }

  /** @throws {QARepVGGError} ERR_MODEL_FORMAT or ERR_MODEL_INCOMPATIBLE with all problems, if there are any. */
  check(): void {
    const count = this.#found.length;
    if (count === 0) return;
    const code: ErrorCode = this.#isDamage ? 'ERR_MODEL_FORMAT' : 'ERR_MODEL_INCOMPATIBLE';
    const named = this.#found.slice(0, maxNamed).join(', ');
    const rest = count > maxNamed ? `, and ${count - maxNamed} more` : '';
    const other = this.#isDynamic
      ? 'a file of dynamic quantisation; quantise the float model with images instead, as docs/quantization.md shows'
      : 'docs/onnx.md lists the operators';
    const help = this.#isDamage ? '' : `; ${other}`;
    const nodes = count === 1 ? 'one that is not' : `${count} that are not`;
    throw failure(code, `expected nodes that can be computed, received ${nodes}: ${named}${rest}${help}`);
  }
}
