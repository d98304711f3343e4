import { describe, mismatch, type QARepVGGError, quote } from '../../errors';
import { PickleReader } from './reader';

/**
 * What a name in a pickle stands for. Nothing of Python's exists here: a name is looked up in a fixed list of functions
 * of this package, or the pickle is refused.
 */
export class PickleGlobal {
  readonly name: string;
  /** Undefined for names that only serve as arguments. */
  readonly call: ((args: readonly unknown[]) => unknown) | undefined;

  constructor(name: string, call?: (args: readonly unknown[]) => unknown) {
    this.name = name;
    this.call = call;
  }
}

/** What a pickle may refer to. */
export interface PickleHost {
  /** `module.name`, or undefined for what is not allowed. */
  global(name: string): PickleGlobal | undefined;
  /** An object kept outside of the pickle. */
  persistent(id: unknown): unknown;
  /** Attributes given to an object that a global has made. */
  setState(object: unknown, state: unknown): void;
}

/** Real pickles need a few thousand: what is longer than a batch of 1000 items is appended in parts. */
const maxStack = 100_000;

/** Dicts are objects without a prototype, lists and tuples arrays. */
export type PickleDict = Record<string, unknown>;

export function newDict(): PickleDict {
  return Object.create(null) as PickleDict;
}

export function isDict(value: unknown): value is PickleDict {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === null;
}

/**
 * Runs a pickle of protocol 2, the one that `torch.save` writes; opcodes that it does not write are refused
 * (Python's Lib/pickletools.py describes them). It can only build numbers, texts, lists and dicts, and call what `host` allows.
 *
 * @throws {QARepVGGError} ERR_MODEL_FORMAT; ERR_LIMIT for more than 100,000 unfinished values.
 */
export function unpickle(bytes: Uint8Array, host: PickleHost, where: string): unknown {
  return new Machine(bytes, host, where).run();
}

class Machine {
  /** In the order of pickletools.py's groups: values, tuples, lists, dicts, memo, objects. */
  static readonly #opcodes: Readonly<Record<string, (machine: Machine) => void>> = {
    '\x80': (machine) => machine.#protocol(machine.#in.uint8()),
    N: (machine) => machine.#push(null),
    '\x88': (machine) => machine.#push(true),
    '\x89': (machine) => machine.#push(false),
    K: (machine) => machine.#push(machine.#in.uint8()),
    M: (machine) => machine.#push(machine.#in.uint16()),
    J: (machine) => machine.#push(machine.#in.int32()),
    '\x8a': (machine) => machine.#push(machine.#in.long()),
    G: (machine) => machine.#push(machine.#in.float64()),
    X: (machine) => machine.#push(machine.#in.text()),
    '(': (machine) => machine.#marks.push(machine.#stack.length),

    ')': (machine) => machine.#push([]),
    '\x85': (machine) => machine.#push(machine.#popMany(1)),
    '\x86': (machine) => machine.#push(machine.#popMany(2)),
    '\x87': (machine) => machine.#push(machine.#popMany(3)),
    t: (machine) => machine.#push(machine.#popToMark()),

    ']': (machine) => machine.#push([]),
    a: (machine) => machine.#append(machine.#popMany(1)),
    e: (machine) => machine.#append(machine.#popToMark()),

    '}': (machine) => machine.#push(newDict()),
    s: (machine) => machine.#setItems(machine.#popMany(2)),
    u: (machine) => machine.#setItems(machine.#popToMark()),

    q: (machine) => machine.#remember(machine.#in.uint8()),
    r: (machine) => machine.#remember(machine.#in.uint32()),
    h: (machine) => machine.#recall(machine.#in.uint8()),
    j: (machine) => machine.#recall(machine.#in.uint32()),

    c: (machine) => machine.#pushGlobal(`${machine.#in.line()}.${machine.#in.line()}`),
    R: (machine) => machine.#call(),
    '\x81': (machine) => machine.#call(),
    b: (machine) => machine.#setState(),
    Q: (machine) => machine.#push(machine.#host.persistent(machine.#pop())),
  };

  readonly #in: PickleReader;
  readonly #host: PickleHost;
  readonly #stack: unknown[] = [];
  /** Heights of the stack at its marks. */
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, unknown>();

  constructor(bytes: Uint8Array, host: PickleHost, where: string) {
    this.#in = new PickleReader(bytes, where);
    this.#host = host;
  }

  run(): unknown {
    for (;;) {
      const opcode = this.#in.opcode();
      if (opcode === '.') return this.#finish();
      const run = Machine.#opcodes[opcode];
      if (run === undefined) throw this.#broken('an opcode that torch.save writes', describe(opcode));
      run(this);
      if (this.#stack.length + this.#marks.length > maxStack) {
        throw mismatch('ERR_LIMIT', this.#in.place, `at most ${maxStack} unfinished values`, 'more');
      }
    }
  }

  #protocol(version: number): void {
    if (version !== 2) throw this.#broken('pickle protocol 2, the default of torch.save', `protocol ${version}`);
  }

  #finish(): unknown {
    const [result] = this.#popMany(1);
    if (this.#stack.length > 0 || this.#marks.length > 0 || !this.#in.atEnd()) {
      throw this.#broken('the end of the pickle with one value', 'more');
    }
    return result;
  }

  #push(value: unknown): void {
    this.#stack.push(value);
  }

  #pop(): unknown {
    return this.#popMany(1)[0];
  }

  /** The upper `count` values, none of them from below the last mark. */
  #popMany(count: number): unknown[] {
    const floor = this.#marks.at(-1) ?? 0;
    if (this.#stack.length - floor < count) throw this.#broken(`${count} values on the stack`, 'fewer');
    return this.#stack.splice(-count);
  }

  #popToMark(): unknown[] {
    const mark = this.#marks.pop();
    if (mark === undefined) throw this.#broken('a mark on the stack', 'none');
    return this.#stack.splice(mark);
  }

  #append(items: readonly unknown[]): void {
    const list = this.#stack.at(-1);
    if (!Array.isArray(list)) throw this.#broken('a list to append to', describe(list));
    for (const item of items) list.push(item);
  }

  #setItems(items: readonly unknown[]): void {
    const dict = this.#stack.at(-1);
    if (!isDict(dict) || items.length % 2 !== 0) throw this.#broken('a dict, keys and values', describe(dict));
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i];
      if (typeof key !== 'string' && !Number.isSafeInteger(key)) {
        throw this.#broken('a text or an integer as the key in a dict', describe(key));
      }
      const name = String(key);
      // Python never writes a key twice, but the integer 1 and the text "1" would meet here.
      if (name in dict) throw this.#broken('each key once in a dict', quote(name));
      dict[name] = items[i + 1];
    }
  }

  #remember(index: number): void {
    if (this.#stack.length === 0) throw this.#broken('a value to remember', 'none');
    this.#memo.set(index, this.#stack.at(-1));
  }

  #recall(index: number): void {
    if (!this.#memo.has(index)) throw this.#broken('a value remembered before', `number ${index}`);
    this.#push(this.#memo.get(index));
  }

  #pushGlobal(name: string): void {
    const found = this.#host.global(name);
    if (found === undefined) {
      throw this.#broken(
        'tensors and plain values only',
        `the Python object ${quote(name)}, which is not on the list of what is safe to read; ` +
          'save the state dict alone: torch.save(model.state_dict(), path)',
      );
    }
    this.#push(found);
  }

  #call(): void {
    const [callee, args] = this.#popMany(2);
    if (!(callee instanceof PickleGlobal) || callee.call === undefined || !Array.isArray(args)) {
      throw this.#broken('a function and its arguments', describe(callee));
    }
    this.#push(callee.call(args));
  }

  #setState(): void {
    const state = this.#pop();
    this.#host.setState(this.#stack.at(-1), state);
  }

  #broken(expected: string, received: string): QARepVGGError {
    return mismatch('ERR_MODEL_FORMAT', this.#in.place, expected, received);
  }
}
