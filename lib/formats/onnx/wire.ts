import { atOnce, type Steps } from '../../slices';
import { WireReader, type WireType, WireWriter, wireTypes } from './wire-format';

/**
 * Protocol buffers by tables: a message is described by its fields, from which its type follows. Generated classes would be more
 * code than these few messages need.
 */
export interface Fields {
  readonly [name: string]: Field;
}

export interface Field<K extends Kind = Kind, Many extends boolean = boolean> {
  readonly number: number;
  readonly kind: K;
  readonly many: Many;
}

interface Scalars {
  /** Any of the varint types; from -(2^53 - 1) to 2^53 - 1. */
  int: number;
  /** A varint of up to 64 bits, rounded beyond 2^53: files use the largest ones to say "to the end". */
  long: number;
  float: number;
  double: number;
  string: string;
  bytes: Uint8Array;
}

type Kind = keyof Scalars | Fields;

type Value<K> = K extends Fields ? Message<K> : K extends keyof Scalars ? Scalars[K] : never;

/** A message that was read: absent fields are undefined, or an empty array. */
export type Message<F extends Fields> = {
  readonly [N in keyof F]: F[N]['many'] extends true ? readonly Value<F[N]['kind']>[] : Value<F[N]['kind']> | undefined;
};

/** A message to write. A message that was read can be written. */
export type Draft<F extends Fields> = {
  readonly [N in keyof F]?:
    | (F[N]['many'] extends true ? readonly DraftValue<F[N]['kind']>[] : DraftValue<F[N]['kind']>)
    | undefined;
};

type DraftValue<K> = K extends Fields ? Draft<K> : K extends keyof Scalars ? Scalars[K] : never;

export function one<K extends Kind>(number: number, kind: K): Field<K, false> {
  return { number, kind, many: false };
}

export function many<K extends Kind>(number: number, kind: K): Field<K, true> {
  return { number, kind, many: true };
}

export function encode<F extends Fields>(fields: F, message: Draft<F>): Uint8Array {
  const writer = new WireWriter();
  write(writer, fields, message);
  return writer.finish();
}

function write(writer: WireWriter, fields: Fields, message: Draft<Fields>): void {
  for (const [name, { number, kind, many }] of Object.entries(fields)) {
    const value: unknown = message[name];
    if (value === undefined) continue;
    for (const item of many ? (value as readonly unknown[]) : [value]) writeValue(writer, number, kind, item);
  }
}

function writeValue(writer: WireWriter, number: number, kind: Kind, value: unknown): void {
  writer.tag(number, typeof kind === 'object' ? wireTypes.bytes : wireTypeOf(kind));
  if (typeof kind === 'object') writer.nested(() => write(writer, kind, value as Draft<Fields>));
  else if (kind === 'int' || kind === 'long') writer.integer(value as number);
  else if (kind === 'float') writer.float(value as number);
  else if (kind === 'double') writer.double(value as number);
  else writer.bytes(kind === 'string' ? Buffer.from(value as string) : (value as Uint8Array));
}

/** Largest number of messages, texts and numbers in a file. The deepest network of this package, quantised, has about 180,000. */
const maxValues = 2 ** 18;

/** A file has more values than any network. Limited because an empty message takes 2 bytes in a file and 200 in memory. */
export class TooManyValues extends Error {}

/** How many fields, and numbers in lists, are read in one step. */
const stepFields = 2 ** 12;

/**
 * Reads a message. Unknown fields are skipped, and bytes are views.
 *
 * @throws {TooManyValues} before more is built than any network has.
 * @throws {Error} for anything malformed, and for a repeated field that may occur only once.
 */
export function decode<F extends Fields>(fields: F, bytes: Uint8Array): Message<F> {
  return atOnce(decodeSteps(fields, bytes));
}

/** A message that is being read. */
interface Frame {
  readonly table: Table;
  readonly message: Record<string, unknown>;
  readonly end: number;
  /** The message that it is part of. */
  readonly outer: Frame | undefined;
}

/** As {@link decode}, in steps. One loop reads nested messages too: a generator for each takes longer than its fields. */
export function* decodeSteps<F extends Fields>(fields: F, bytes: Uint8Array): Steps<Message<F>> {
  const reader = new WireReader(bytes);
  let frame = frameOf(tableOf(fields), bytes.length, undefined);
  let values = 0;
  for (let count = 1; ; count++) {
    if (count % stepFields === 0) yield;
    if (reader.position >= frame.end) {
      if (reader.position !== frame.end) throw new Error('a length beyond its message');
      if (!frame.outer) return frame.message as Message<F>;
      frame = frame.outer;
      continue;
    }
    const tag = reader.tag();
    const wireType = tag & 7;
    const field = frame.table.fields[tag >>> 3];
    if (!field) {
      reader.skip(wireType);
      continue;
    }
    const { name, many, read, table } = field;
    const { message } = frame;
    if (!many && message[name] !== undefined) throw new Error(`field ${name} twice`);
    if (many && field.isNumber && wireType === wireTypes.bytes) {
      const end = reader.end();
      while (reader.position < end) {
        if (++count % stepFields === 0) yield;
        checkCount(++values);
        append(message, name, read(reader));
      }
      if (reader.position !== end) throw new Error('a length beyond its list');
      continue;
    }
    checkCount(++values);
    if (wireType !== field.wireType) throw new Error(`wire type ${wireType} instead of ${field.wireType}`);
    const inner = table && frameOf(table, reader.end(), frame);
    const value = inner ? inner.message : read(reader);
    if (many) append(message, name, value);
    else message[name] = value;
    if (inner) frame = inner;
  }
}

/** Called before a value is read. @throws {TooManyValues} */
function checkCount(values: number): void {
  if (values > maxValues) throw new TooManyValues(`more than ${maxValues} values`);
}

/** A list without entries, of all messages: most lists are empty. */
const none: readonly unknown[] = Object.freeze([]);

function append(message: Record<string, unknown>, name: string, value: unknown): void {
  const list = message[name];
  if (list === none) message[name] = [value];
  else (list as unknown[]).push(value);
}

/** All that reading a value asks of its field. */
interface KnownField {
  readonly name: string;
  readonly many: boolean;
  readonly wireType: WireType;
  readonly isNumber: boolean;
  /** Of anything but a message. */
  readonly read: (reader: WireReader) => unknown;
  /** Of a message. */
  readonly table: Table | undefined;
}

interface Table {
  /** By number. */
  readonly fields: readonly (KnownField | undefined)[];
  /** Every name, with nothing. */
  readonly empty: Readonly<Record<string, unknown>>;
}

const tables = new WeakMap<Fields, Table>();

function tableOf(fields: Fields): Table {
  const made = tables.get(fields);
  if (made) return made;
  const known: KnownField[] = [];
  const empty: Record<string, unknown> = {};
  for (const [name, { number, kind, many }] of Object.entries(fields)) {
    const table = typeof kind === 'object' ? tableOf(kind) : undefined;
    const scalar = typeof kind === 'object' ? 'bytes' : kind;
    const isNumber = scalar !== 'string' && scalar !== 'bytes';
    known[number] = { name, many, wireType: wireTypeOf(scalar), isNumber, read: readers[scalar], table };
    empty[name] = many ? none : undefined;
  }
  const table = { fields: known, empty };
  tables.set(fields, table);
  return table;
}

function frameOf(table: Table, end: number, outer: Frame | undefined): Frame {
  return { table, message: { ...table.empty }, end, outer };
}

const readers: Readonly<Record<keyof Scalars, (reader: WireReader) => unknown>> = {
  int: (reader) => safeInteger(reader.integer()),
  long: (reader) => reader.integer(),
  float: (reader) => reader.float(),
  double: (reader) => reader.double(),
  string: (reader) => reader.text(),
  bytes: (reader) => reader.bytes(),
};

function wireTypeOf(kind: keyof Scalars): WireType {
  if (kind === 'int' || kind === 'long') return wireTypes.varint;
  if (kind === 'double') return wireTypes.bits64;
  return kind === 'float' ? wireTypes.bits32 : wireTypes.bytes;
}

function safeInteger(value: number): number {
  if (!Number.isSafeInteger(value)) throw new Error(`${value} is too large a number`);
  return value;
}
