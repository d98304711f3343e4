import { describe, mismatch, type QARepVGGError } from '../../errors';
import type { Steps } from '../../slices';
import type { Budget } from './budget';
import { PickleReader } from './reader';
import { isDict, newDict, Opaque, setItem } from './values';

/**
 * What a name in a pickle refers to. There is no Python here: a name is looked up in a fixed list of this package's functions, and
 * any other name makes opaque objects.
 */
export class PickleGlobal extends Opaque {
  /** Undefined for names that this package does not know, and for names that are only used as arguments. */
  readonly call: ((args: readonly unknown[]) => unknown) | undefined;

  constructor(name: string, call?: (args: readonly unknown[]) => unknown) {
    super(name);
    this.call = call;
  }
}

/** What a pickle may refer to. */
export interface PickleHost {
  /** `module.name` */
  global(name: string): PickleGlobal;
  /** An object kept outside of the pickle. */
  persistent(id: unknown): unknown;
  /** Sets the attributes of an object that a global has made. */
  setState(object: unknown, state: unknown): void;
}

/** Real pickles need a few thousand places, because long lists are appended in batches of 1000 items. */
const maxStack = 100_000;

/** The newest protocol. */
const maxProtocol = 5;

/** Opcodes between two pauses. */
const opcodesPerStep = 512;

/** Costs in bytes for the {@link Budget}. Every opcode has one, even if it makes nothing. */
const cost = { opcode: 24, container: 200, item: 48, element: 12, memo: 48, object: 200, character: 2 } as const;

/**
 * Runs a pickle of protocol 2 to 5, as far as `torch.save` uses it (Python's Lib/pickletools.py describes the opcodes). It can
 * only build numbers, strings, lists and dicts, call what `host` allows, and make opaque objects.
 *
 * @param at Offset in `bytes` at which the pickle begins.
 * @returns The value, and the offset at which the pickle ends.
 * @throws {QARepVGGError} ERR_MODEL_FORMAT; ERR_LIMIT for more than 100,000 unfinished values, or beyond the budget.
 */
export function unpickle(
  bytes: Uint8Array,
  at: number,
  host: PickleHost,
  budget: Budget,
): Steps<{ value: unknown; end: number }> {
  return new Machine(new PickleReader(bytes, at), host, budget).run();
}

type Operation = (machine: Machine) => void;

class Machine {
  /** In the order of the groups in pickletools.py: values, tuples, lists, dicts, sets, memo, objects. */
  static readonly #named: Readonly<Record<string, Operation>> = {
    '\x80': (machine) => machine.#protocol(machine.#in.uint8()),
    '\x95': (machine) => machine.#in.uint64(),
    N: (machine) => machine.#push(null),
    '\x88': (machine) => machine.#push(true),
    '\x89': (machine) => machine.#push(false),
    K: (machine) => machine.#push(machine.#in.uint8()),
    M: (machine) => machine.#push(machine.#in.uint16()),
    J: (machine) => machine.#push(machine.#in.int32()),
    '\x8a': (machine) => machine.#push(machine.#in.long(machine.#in.uint8())),
    '\x8b': (machine) => machine.#push(machine.#in.long(machine.#in.uint32())),
    G: (machine) => machine.#push(machine.#in.float64()),
    X: (machine) => machine.#pushText(machine.#in.uint32()),
    '\x8c': (machine) => machine.#pushText(machine.#in.uint8()),
    '\x8d': (machine) => machine.#pushText(machine.#in.uint64()),
    // Strings of Python 2.
    U: (machine) => machine.#pushText(machine.#in.uint8()),
    T: (machine) => machine.#pushText(machine.#in.uint32()),
    C: (machine) => machine.#pushBytes(machine.#in.uint8()),
    B: (machine) => machine.#pushBytes(machine.#in.uint32()),
    '\x8e': (machine) => machine.#pushBytes(machine.#in.uint64()),
    '\x96': (machine) => machine.#pushBytes(machine.#in.uint64()),
    '(': (machine) => machine.#marks.push(machine.#stack.length),
    '0': (machine) => machine.#pop(),
    '1': (machine) => machine.#popToMark(),
    '2': (machine) => machine.#push(machine.#top()),

    ')': (machine) => machine.#pushContainer([]),
    '\x85': (machine) => machine.#pushContainer(machine.#popMany(1)),
    '\x86': (machine) => machine.#pushContainer(machine.#popMany(2)),
    '\x87': (machine) => machine.#pushContainer(machine.#popMany(3)),
    t: (machine) => machine.#pushContainer(machine.#popToMark()),

    ']': (machine) => machine.#pushContainer([]),
    a: (machine) => machine.#append(machine.#popMany(1)),
    e: (machine) => machine.#append(machine.#popToMark()),

    '}': (machine) => machine.#pushContainer(newDict()),
    s: (machine) => machine.#setItems(machine.#popMany(2)),
    u: (machine) => machine.#setItems(machine.#popToMark()),

    '\x8f': (machine) => machine.#pushContainer([]),
    '\x90': (machine) => machine.#append(machine.#popToMark()),
    '\x91': (machine) => machine.#pushContainer(machine.#popToMark()),

    q: (machine) => machine.#remember(machine.#in.uint8()),
    r: (machine) => machine.#remember(machine.#in.uint32()),
    '\x94': (machine) => machine.#remember(machine.#memo.size),
    h: (machine) => machine.#recall(machine.#in.uint8()),
    j: (machine) => machine.#recall(machine.#in.uint32()),

    c: (machine) => machine.#pushGlobal(machine.#in.line(), machine.#in.line()),
    '\x93': (machine) => machine.#pushGlobal(...(machine.#popMany(2) as [unknown, unknown])),
    R: (machine) => machine.#call(machine.#popMany(2)),
    '\x81': (machine) => machine.#call(machine.#popMany(2)),
    // Keyword arguments come last; no function of this package takes any.
    '\x92': (machine) => machine.#call(machine.#popMany(3)),
    b: (machine) => machine.#setState(machine.#pop()),
    Q: (machine) => machine.#pushObject(machine.#host.persistent(machine.#pop())),
  };

  static readonly #opcodes: readonly (Operation | undefined)[] = Array.from(
    { length: 256 },
    (_, code) => Machine.#named[String.fromCharCode(code)],
  );

  readonly #in: PickleReader;
  readonly #host: PickleHost;
  readonly #budget: Budget;
  readonly #stack: unknown[] = [];
  /** Heights of the stack at its marks. */
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, unknown>();

  constructor(reader: PickleReader, host: PickleHost, budget: Budget) {
    this.#in = reader;
    this.#host = host;
    this.#budget = budget;
  }

  *run(): Steps<{ value: unknown; end: number }> {
    for (let count = 1; ; count++) {
      if (count % opcodesPerStep === 0) yield;
      const opcode = this.#in.opcode();
      if (opcode === 0x2e) return { value: this.#finish(), end: this.#in.at };
      const operation = Machine.#opcodes[opcode];
      if (operation === undefined) {
        throw this.#broken('an opcode that torch.save writes', describe(String.fromCharCode(opcode)));
      }
      this.#budget.take(cost.opcode);
      operation(this);
      if (this.#stack.length + this.#marks.length > maxStack) {
        throw mismatch('ERR_LIMIT', this.#in.place, `at most ${maxStack} unfinished values`, 'more');
      }
    }
  }

  #protocol(version: number): void {
    if (version >= 2 && version <= maxProtocol) return;
    throw this.#broken(`a pickle of protocol 2 to ${maxProtocol}`, `protocol ${version}`);
  }

  #finish(): unknown {
    const result = this.#pop();
    if (this.#stack.length > 0 || this.#marks.length > 0) {
      throw this.#broken('the end of the pickle with one value', 'more');
    }
    return result;
  }

  #push(value: unknown): void {
    this.#stack.push(value);
  }

  #pushContainer(value: unknown[] | object): void {
    this.#budget.take(cost.container + (Array.isArray(value) ? value.length * cost.element : 0));
    this.#push(value);
  }

  #pushObject(value: unknown): void {
    this.#budget.take(cost.object);
    this.#push(value);
  }

  #pushText(length: number): void {
    if (length > maxText) {
      this.#in.skip(length);
      this.#pushObject(new Opaque('a long text'));
      return;
    }
    this.#budget.take(length * cost.character);
    // File names may not be UTF-8.
    this.#push(this.#in.text(length) ?? new Opaque('a text that is not UTF-8'));
  }

  #pushBytes(length: number): void {
    this.#in.skip(length);
    this.#pushObject(new Opaque('builtins.bytes'));
  }

  #top(): unknown {
    this.#checkHeight(1);
    return this.#stack.at(-1);
  }

  #pop(): unknown {
    this.#checkHeight(1);
    return this.#stack.pop();
  }

  /** Pops the top `count` values, none of them from below the last mark. */
  #popMany(count: number): unknown[] {
    this.#checkHeight(count);
    return this.#stack.splice(-count);
  }

  #checkHeight(count: number): void {
    const floor = this.#marks.at(-1) ?? 0;
    if (this.#stack.length - floor < count) throw this.#broken(`${count} values on the stack`, 'fewer');
  }

  #popToMark(): unknown[] {
    const mark = this.#marks.pop();
    if (mark === undefined) throw this.#broken('a mark on the stack', 'none');
    return this.#stack.splice(mark);
  }

  /** An opaque list drops its items. */
  #append(items: readonly unknown[]): void {
    const list = this.#stack.at(-1);
    if (list instanceof Opaque) return;
    if (!Array.isArray(list)) throw this.#broken('a list to append to', describe(list));
    this.#budget.take(items.length * cost.element);
    for (const item of items) list.push(item);
  }

  #setItems(items: readonly unknown[]): void {
    const target = this.#stack.at(-1);
    if (target instanceof Opaque) target.items ??= newDict();
    const dict = target instanceof Opaque ? target.items : target;
    if (!isDict(dict) || items.length % 2 !== 0) throw this.#broken('a dict, keys and values', describe(dict));
    this.#budget.take(items.length * cost.item);
    for (let i = 0; i < items.length; i += 2) setItem(dict, items[i], items[i + 1]);
  }

  #remember(index: number): void {
    if (this.#stack.length === 0) throw this.#broken('a value to remember', 'none');
    this.#budget.take(cost.memo);
    this.#memo.set(index, this.#stack.at(-1));
  }

  #recall(index: number): void {
    if (!this.#memo.has(index)) throw this.#broken('a value remembered before', `number ${index}`);
    this.#push(this.#memo.get(index));
  }

  #pushGlobal(module: unknown, name: unknown): void {
    if (typeof module !== 'string' || typeof name !== 'string') {
      throw this.#broken('the name of a module and of what is in it', describe(module));
    }
    this.#pushObject(this.#host.global(`${module}.${name}`));
  }

  #call([callee, args]: readonly unknown[]): void {
    if (!(callee instanceof Opaque) || !Array.isArray(args)) {
      throw this.#broken('a class or function, and its arguments', describe(callee));
    }
    const known = callee instanceof PickleGlobal ? callee.call : undefined;
    this.#pushObject(known ? known(args) : new Opaque(callee.name));
  }

  #setState(state: unknown): void {
    this.#host.setState(this.#top(), state);
  }

  #broken(expected: string, received: string): QARepVGGError {
    return mismatch('ERR_MODEL_FORMAT', this.#in.place, expected, received);
  }
}

/** Longer strings, perhaps the data of NumPy arrays, are not decoded: no name or option is that long. */
const maxText = 2 ** 20;
