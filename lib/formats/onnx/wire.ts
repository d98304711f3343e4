import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/**
 * Protocol buffers by tables: a message is described by its fields, and its type follows from them. The library brings
 * varints and bounds checks; generated classes are not needed for the few messages that are used here.
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
  float: number;
  string: string;
  bytes: Uint8Array;
}

type Kind = keyof Scalars | Fields;

type Value<K> = K extends Fields ? Message<K> : K extends keyof Scalars ? Scalars[K] : never;

/** A message as it is read: what is absent is undefined, or an empty array. */
export type Message<F extends Fields> = {
  readonly [N in keyof F]: F[N]['many'] extends true ? readonly Value<F[N]['kind']>[] : Value<F[N]['kind']> | undefined;
};

/** A message to be written; one that was read is one, too. */
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
  } else if (kind === 'float') {
    writer.tag(number, WireType.Bit32).float(value as number);
  } else if (kind === 'string') {
    writer.tag(number, WireType.LengthDelimited).string(value as string);
  } else {
    writer.tag(number, WireType.LengthDelimited).bytes(value as Uint8Array);
  }
}

/**
 * Reads a message; unknown fields are passed over, bytes are views.
 *
 * @throws {Error} for anything malformed, and for a field twice that may be there once.
 */
export function decode<F extends Fields>(fields: F, bytes: Uint8Array): Message<F> {
  const known = new Map(Object.entries(fields).map(([name, field]) => [field.number, { name, ...field }]));
  const message: Record<string, unknown> = Object.fromEntries(
    Object.entries(fields).map(([name, field]) => [name, field.many ? [] : undefined]),
  );
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    const field = known.get(number);
    if (!field) {
      reader.skip(wireType, number);
    } else if (field.many) {
      (message[field.name] as unknown[]).push(...readValues(reader, field.kind, wireType));
    } else {
      if (message[field.name] !== undefined) throw new Error(`field ${field.name} twice`);
      message[field.name] = readValue(reader, field.kind, wireType);
    }
  }
  return message as Message<F>;
}

/** One value, or of numbers a packed list. */
function readValues(reader: BinaryReader, kind: Kind, wireType: WireType): unknown[] {
  const packed = (kind === 'int' || kind === 'float') && wireType === WireType.LengthDelimited;
  if (!packed) return [readValue(reader, kind, wireType)];
  const list = new BinaryReader(reader.bytes());
  const values: unknown[] = [];
  while (list.pos < list.len) values.push(readValue(list, kind, wireTypeOf(kind)));
  return values;
}

function readValue(reader: BinaryReader, kind: Kind, wireType: WireType): unknown {
  if (wireType !== wireTypeOf(kind)) throw new Error(`wire type ${wireType} where ${wireTypeOf(kind)} should be`);
  if (typeof kind === 'object') return decode(kind, reader.bytes());
  switch (kind) {
    case 'int':
      return safeInteger(reader.int64());
    case 'float':
      return reader.float();
    case 'string':
      return reader.string(true);
    case 'bytes':
      return reader.bytes();
  }
}

function wireTypeOf(kind: Kind): WireType {
  if (kind === 'int') return WireType.Varint;
  return kind === 'float' ? WireType.Bit32 : WireType.LengthDelimited;
}

function safeInteger(value: bigint | string): number {
  const integer = Number(value);
  if (!Number.isSafeInteger(integer)) throw new Error(`${value} is too large a number`);
  return integer;
}
