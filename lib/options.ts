import { didYouMean } from './did-you-mean';
import { describe, mismatch, QARepVGGError } from './errors';

/** Checks one option and fills its default in. Given the value and the name to blame. */
export type Field<T> = (value: unknown, where: string) => T;

type Fields = Record<string, Field<unknown>>;

/** The type of the checked options of a table of fields. */
export type Parsed<F extends Fields> = { readonly [K in keyof F]: ReturnType<F[K]> };

/**
 * Reads an options object against a table of fields; each property is read once.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG naming the option, also for names that are not in the table.
 */
export function parseOptions<F extends Fields>(where: string, fields: F, value: unknown): Parsed<F> {
  if (typeof value !== 'object' || value === null || isArray(value, `${where}, options`)) {
    throw mismatch('ERR_INVALID_ARG', `${where}, options`, 'an object', describe(value));
  }
  const given = readForeign(`${where}, options`, () => ({ ...value })) as Record<string, unknown>;
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(fields, name));
  if (unknown !== undefined) {
    const known = Object.keys(fields);
    const received = describe(unknown) + didYouMean(unknown, known);
    throw mismatch('ERR_INVALID_ARG', `${where}, options`, `only ${known.join(', ')}`, received);
  }
  const parsed = Object.entries(fields).map(([name, field]) => [
    name,
    checkOption(where, name, (place) => field(given[name], place)),
  ]);
  return Object.fromEntries(parsed) as Parsed<F>;
}

/**
 * Runs the check of one option, which receives the place to name. Its error carries the name of the option, or of the outer one
 * for an option within an option.
 */
export function checkOption<T>(where: string, name: string, check: (place: string) => T): T {
  try {
    return check(`${where}, option ${name}`);
  } catch (error) {
    throw error instanceof QARepVGGError ? Object.assign(error, { option: name }) : error;
  }
}

/** The error of a check that spans several options. */
export function wrongOption(where: string, name: string, expected: string, received: string): QARepVGGError {
  return Object.assign(mismatch('ERR_INVALID_ARG', `${where}, option ${name}`, expected, received), { option: name });
}

/** An integer from `low` to `high`; without a default it must be given. */
export function integer(low: number, high: number, fallback?: number): Field<number> {
  return (value = fallback, where) => {
    if (Number.isSafeInteger(value) && (value as number) >= low && (value as number) <= high) return value as number;
    throw mismatch('ERR_INVALID_ARG', where, `an integer from ${low} to ${high}`, describe(value));
  };
}

/** A number from `low` to `high`; `low` itself is excluded when `open` is set. */
export function number(low: number, high: number, fallback: number, { open = false } = {}): Field<number> {
  return (value = fallback, where) => {
    const inside = typeof value === 'number' && (open ? value > low : value >= low) && value <= high;
    if (inside) return value;
    const expected = open ? `a number above ${low} and up to ${high}` : `a number from ${low} to ${high}`;
    throw mismatch('ERR_INVALID_ARG', where, expected, describe(value));
  };
}

/** A number up to `high` that is still above 0 in float32, in which the kernels compute. */
export function positive(high: number, fallback: number): Field<number> {
  return number(2 ** -149, high, fallback);
}

export function boolean(fallback: boolean): Field<boolean> {
  return (value = fallback, where) => {
    if (typeof value === 'boolean') return value;
    throw mismatch('ERR_INVALID_ARG', where, 'true or false', describe(value));
  };
}

/** A string, or undefined. */
export const optionalText: Field<string | undefined> = (value, where) => {
  if (value === undefined || typeof value === 'string') return value;
  throw mismatch('ERR_INVALID_ARG', where, 'a name', describe(value));
};

/** A value that is checked elsewhere. */
export const anything: Field<unknown> = (value) => value;

/** One of a few values. */
export function oneOf<const T extends string | number>(values: readonly T[], fallback: T): Field<T> {
  return (value = fallback, where) => {
    if (values.includes(value as T)) return value as T;
    const received = describe(value) + didYouMean(value, values);
    throw mismatch('ERR_INVALID_ARG', where, values.map(describe).join(' or '), received);
  };
}

/** An option that may be left out and has no default. */
export function optional<T>(field: Field<T>): Field<T | undefined> {
  return (value, where) => (value === undefined ? undefined : field(value, where));
}

/** A function of the caller. */
export function callback<F extends (...values: never[]) => void>(): Field<F> {
  return (value, where) => {
    if (typeof value === 'function') return value as F;
    throw mismatch('ERR_INVALID_ARG', where, 'a function', describe(value));
  };
}

/** The seed of a random generator. */
export const seedField: Field<number> = integer(0, Number.MAX_SAFE_INTEGER, 0);

/** `Array.isArray`, which throws for a Proxy that has been revoked. @throws {QARepVGGError} ERR_INVALID_ARG */
export function isArray(value: unknown, where: string): value is readonly unknown[] {
  return readForeign(where, () => Array.isArray(value));
}

/**
 * Runs `read`, which may run code of the caller's objects (getters, proxy traps).
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG with the caller's exception as its cause.
 */
export function readForeign<T>(where: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof QARepVGGError) throw error;
    throw new QARepVGGError('ERR_INVALID_ARG', `${where}: expected a readable object, received one that throws`, {
      cause: error,
    });
  }
}
