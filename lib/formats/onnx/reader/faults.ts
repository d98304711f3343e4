import { type ErrorCode, failure, type QARepVGGError, quote } from '../../../errors';

/** At most this many nodes are named; the others are only counted. */
const maxNamed = 200;

/** The code of several problems is the first of these that one of them has. */
const codes = [
  'ERR_MODEL_FORMAT',
  'ERR_SHAPE',
  'ERR_MODEL_INCOMPATIBLE',
  'ERR_NON_FINITE',
] as const satisfies ErrorCode[];

/** What helps against nodes that are not computed, by what is said of them. */
const remedies = [
  [
    /^DynamicQuantize/,
    'a file of dynamic quantisation; quantise the float model with images instead, as docs/quantization.md shows',
  ],
  [
    /(of domain com\.(microsoft\.nchwc|ms\.internal\.nhwc)|^(Nhwc.*|QLinearConv) of domain com\.microsoft)$/,
    "onnxruntime has saved this file in the layout of one kind of processor; save it at level 'extended' or 'basic'",
  ],
] as const;

/** Collects all problems with the nodes of a file, and throws them as one error. */
export class Faults {
  readonly #found: string[] = [];
  readonly #codes = new Set<ErrorCode>();
  #help = 'docs/onnx.md lists the operators';
  /** The error of the first node that has one of its own. */
  #error: QARepVGGError | undefined;

  /** Adds a node that this package does not compute. @param problem begins with its operator */
  unsupported(node: string, problem: string): void {
    this.#help = remedies.find(([pattern]) => pattern.test(problem))?.[1] ?? this.#help;
    this.#add(node, problem, 'ERR_MODEL_INCOMPATIBLE');
  }

  /** Adds a node that is not valid. */
  damaged(node: string, problem: string): void {
    this.#add(node, problem, 'ERR_MODEL_FORMAT');
  }

  /** Adds a node by its error. @param place What its message begins with. @param op Its operator. */
  refused(node: string, op: string, error: QARepVGGError, place: string): void {
    this.#error ??= error;
    this.#add(node, `${op}${error.message.slice(place.length)}`, error.code);
  }

  get count(): number {
    return this.#found.length;
  }

  /** @throws {QARepVGGError} all problems, if there are any. */
  check(): void {
    const { count } = this;
    if (count === 0) return;
    if (count === 1 && this.#error) throw this.#error;
    const code = codes.find((each) => this.#codes.has(each)) ?? 'ERR_MODEL_INCOMPATIBLE';
    const named = this.#found.slice(0, maxNamed).join(', ');
    const rest = count > maxNamed ? `, and ${count - maxNamed} more` : '';
    const help = code === 'ERR_MODEL_INCOMPATIBLE' ? `; ${this.#help}` : '';
    const nodes = count === 1 ? 'one that is not' : `${count} that are not`;
    throw failure(code, `expected nodes that can be computed, received ${nodes}: ${named}${rest}${help}`);
  }

  #add(node: string, problem: string, code: ErrorCode): void {
    this.#codes.add(code);
    this.#found.push(`${quote(node)} (${problem})`);
  }
}
