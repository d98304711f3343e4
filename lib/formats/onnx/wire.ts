import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { atOnce, type Steps } from '../../slices';

/**
 * Protocol buffers by tables: a message is described by its fields, from which its type follows. The library provides varints and
 * bounds checks. Generated classes would be more code than these few messages need.
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
  const writer = new BinaryWriter();
  write(writer, fields, message);
  return writer.finish();
}

function write(writer: BinaryWriter, fields: Fields, message: Draft<Fields>): void {
  for (const [name, { number, kind, many }] of Object.entries(fields)) {
    const value: unknown = message[name];
    if (value === undefined) continue;
    for (const item of many ? (value as readonly unknown[]) : [value]) writeValue(writer, number, kind, item);
  }
}

function writeValue(writer: BinaryWriter, number: number, kind: Kind, value: unknown): void {
  if (typeof kind === 'object') {
    write(writer.tag(number, WireType.LengthDelimited).fork(), kind, value as Draft<Fields>);
    writer.join();
  } else if (kind === 'int') {
    writer.tag(number, WireType.Varint).int64(value as number);
  } else if (kind === 'long') {
    writer.tag(number, WireType.Varint).int64(BigInt.asIntN(64, BigInt(Math.min(value as number, 2 ** 63 - 1024))));
  } else if (kind === 'float') {
    writer.tag(number, WireType.Bit32).float(value as number);
  } else if (kind === 'double') {
    writer.tag(number, WireType.Bit64).double(value as number);
  } else if (kind === 'string') {
    writer.tag(number, WireType.LengthDelimited).string(value as string);
  } else {
    writer.tag(number, WireType.LengthDelimited).bytes(value as Uint8Array);
  }
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
  const reader = new BinaryReader(bytes, decodeText);
  let frame = frameOf(tableOf(fields), bytes.length, undefined);
  let values = 0;
  for (let count = 1; ; count++) {
    if (count % stepFields === 0) yield;
    if (reader.pos >= frame.end) {
      if (reader.pos !== frame.end) throw new Error('a length beyond its message');
      if (!frame.outer) return frame.message as Message<F>;
      frame = frame.outer;
      continue;
    }
    // Destructured arrays are iterated, which is slow in code that runs once.
    const tag = reader.tag();
    const wireType = tag[1];
    const field = frame.table.fields[tag[0]];
    if (!field) {
      reader.skip(wireType, tag[0]);
      continue;
    }
    const { name, many, read, table } = field;
    const { message } = frame;
    if (!many && message[name] !== undefined) throw new Error(`field ${name} twice`);
    if (many && field.isNumber && wireType === WireType.LengthDelimited) {
      const end = endOf(reader);
      for (const list = message[name] as unknown[]; reader.pos < end; ) {
        if (++count % stepFields === 0) yield;
        checkCount(++values);
        list.push(read(reader));
      }
      if (reader.pos !== end) throw new Error('a length beyond its list');
      continue;
    }
    checkCount(++values);
    if (wireType !== field.wireType) throw new Error(`wire type ${wireType} instead of ${field.wireType}`);
    const inner = table && frameOf(table, endOf(reader), frame);
    const value = inner ? inner.message : read(reader);
    if (many) (message[name] as unknown[]).push(value);
    else message[name] = value;
    if (inner) frame = inner;
  }
}

/** Called before a value is read. @throws {TooManyValues} */
function checkCount(values: number): void {
  if (values > maxValues) throw new TooManyValues(`more than ${maxValues} values`);
}

/** All that reading a value asks of its field. */
interface KnownField {
  readonly name: string;
  readonly many: boolean;
  readonly wireType: WireType;
  readonly isNumber: boolean;
  /** Of anything but a message. */
  readonly read: (reader: BinaryReader) => unknown;
  /** Of a message. */
  readonly table: Table | undefined;
}

interface Table {
  /** By number. */
  readonly fields: readonly (KnownField | undefined)[];
  /** Every name, with nothing. */
  readonly empty: Readonly<Record<string, undefined>>;
  readonly lists: readonly string[];
}

const tables = new WeakMap<Fields, Table>();

function tableOf(fields: Fields): Table {
  const made = tables.get(fields);
  if (made) return made;
  const known: KnownField[] = [];
  for (const [name, { number, kind, many }] of Object.entries(fields)) {
    const table = typeof kind === 'object' ? tableOf(kind) : undefined;
    const scalar = typeof kind === 'object' ? 'bytes' : kind;
    const isNumber = scalar !== 'string' && scalar !== 'bytes';
    known[number] = { name, many, wireType: wireTypeOf(scalar), isNumber, read: readers[scalar], table };
  }
  const names = Object.keys(fields);
  const empty = Object.fromEntries(names.map((name) => [name, undefined]));
  const table = { fields: known, empty, lists: names.filter((name) => fields[name]?.many) };
  tables.set(fields, table);
  return table;
}

function frameOf(table: Table, end: number, outer: Frame | undefined): Frame {
  const message: Record<string, unknown> = { ...table.empty };
  for (const name of table.lists) message[name] = [];
  return { table, message, end, outer };
}

/** Returns the end of the message or list that begins here. */
function endOf(reader: BinaryReader): number {
  const length = reader.uint32();
  if (length > reader.len - reader.pos) throw new Error('a length beyond the end');
  return reader.pos + length;
}

const readers: Readonly<Record<keyof Scalars, (reader: BinaryReader) => unknown>> = {
  int: (reader) => safeInteger(reader.int64()),
  long: (reader) => Number(reader.int64()),
  float: (reader) => reader.float(),
  double: (reader) => reader.double(),
  string: (reader) => reader.string(true),
  bytes: (reader) => reader.bytes(),
};

function wireTypeOf(kind: keyof Scalars): WireType {
  if (kind === 'int' || kind === 'long') return WireType.Varint;
  if (kind === 'double') return WireType.Bit64;
  return kind === 'float' ? WireType.Bit32 : WireType.LengthDelimited;
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A Buffer takes a fraction of the time of a `TextDecoder`, and puts U+FFFD in place of what is no UTF-8. */
function decodeText(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
  return text.includes('\ufffd') ? strict.decode(bytes) : text;
}

function safeInteger(value: bigint | string): number {
  const integer = Number(value);
  if (!Number.isSafeInteger(integer)) throw new Error(`${value} is too large a number`);
  return integer;
}
