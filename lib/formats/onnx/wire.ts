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

/** How far a file has been read. */
interface Progress {
  /** How many more may be read. */
  values: number;
  fields: number;
}

/**
 * Reads a message. Unknown fields are skipped, and bytes are views.
 *
 * @throws {TooManyValues} before more is built than any network has.
 * @throws {Error} for anything malformed, and for a repeated field that may occur only once.
 */
export function decode<F extends Fields>(fields: F, bytes: Uint8Array): Message<F> {
  return atOnce(decodeSteps(fields, bytes));
}

/** Same as {@link decode}, in steps. */
export function decodeSteps<F extends Fields>(fields: F, bytes: Uint8Array): Steps<Message<F>> {
  return decodeUntil({ values: maxValues, fields: 0 }, fields, new BinaryReader(bytes), bytes.length);
}

type Table = ReadonlyMap<number, Field & { readonly name: string }>;

/** Fields by their numbers. */
const tables = new WeakMap<Fields, Table>();

function tableOf(fields: Fields): Table {
  const known = tables.get(fields);
  if (known) return known;
  const table = new Map(Object.entries(fields).map(([name, field]) => [field.number, { name, ...field }]));
  tables.set(fields, table);
  return table;
}

/** One reader for all messages: there may be many, and a reader is slow to make. */
function* decodeUntil<F extends Fields>(
  progress: Progress,
  fields: F,
  reader: BinaryReader,
  end: number,
): Steps<Message<F>> {
  const known = tableOf(fields);
  const message: Record<string, unknown> = {};
  for (const { name, many } of known.values()) message[name] = many ? [] : undefined;
  while (reader.pos < end) {
    if (++progress.fields % stepFields === 0) yield;
    const [number, wireType] = reader.tag();
    const field = known.get(number);
    if (!field) {
      reader.skip(wireType, number);
      continue;
    }
    const { name, kind, many } = field;
    if (!many && message[name] !== undefined) throw new Error(`field ${name} twice`);
    if (many && isNumber(kind) && wireType === WireType.LengthDelimited) {
      yield* readPacked(progress, reader, kind, message[name] as unknown[]);
      continue;
    }
    take(progress, kind, wireType);
    const value =
      typeof kind === 'object' ? yield* decodeUntil(progress, kind, reader, endOf(reader)) : readScalar(reader, kind);
    if (many) (message[name] as unknown[]).push(value);
    else message[name] = value;
  }
  if (reader.pos !== end) throw new Error('a length beyond its message');
  return message as Message<F>;
}

/** Returns the end of the message or list that begins here. */
function endOf(reader: BinaryReader): number {
  const length = reader.uint32();
  if (length > reader.len - reader.pos) throw new Error('a length beyond the end');
  return reader.pos + length;
}

type NumberKind = 'int' | 'long' | 'float' | 'double';

function isNumber(kind: Kind): kind is NumberKind {
  return kind === 'int' || kind === 'long' || kind === 'float' || kind === 'double';
}

/** Appends a list of numbers. */
function* readPacked(progress: Progress, reader: BinaryReader, kind: NumberKind, values: unknown[]): Steps<void> {
  const end = endOf(reader);
  while (reader.pos < end) {
    if (++progress.fields % stepFields === 0) yield;
    take(progress, kind, wireTypeOf(kind));
    values.push(readScalar(reader, kind));
  }
  if (reader.pos !== end) throw new Error('a length beyond its list');
}

/** Called before a value is read. @throws {TooManyValues} */
function take(progress: Progress, kind: Kind, wireType: WireType): void {
  if (--progress.values < 0) throw new TooManyValues(`more than ${maxValues} values`);
  if (wireType !== wireTypeOf(kind)) throw new Error(`wire type ${wireType} instead of ${wireTypeOf(kind)}`);
}

function readScalar(reader: BinaryReader, kind: keyof Scalars): unknown {
  switch (kind) {
    case 'int':
      return safeInteger(reader.int64());
    case 'long':
      return Number(reader.int64());
    case 'float':
      return reader.float();
    case 'double':
      return reader.double();
    case 'string':
      return reader.string(true);
    case 'bytes':
      return reader.bytes();
  }
}

function wireTypeOf(kind: Kind): WireType {
  if (kind === 'int' || kind === 'long') return WireType.Varint;
  if (kind === 'double') return WireType.Bit64;
  return kind === 'float' ? WireType.Bit32 : WireType.LengthDelimited;
}

function safeInteger(value: bigint | string): number {
  const integer = Number(value);
  if (!Number.isSafeInteger(integer)) throw new Error(`${value} is too large a number`);
  return integer;
}
