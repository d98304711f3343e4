import { didYouMean } from './did-you-mean';
import { describe, failure, mismatch, placed, QARepVGGError, within } from './errors';

/** Checks one option and fills its default in. */
export type Field<T> = (value: unknown) => T;

type Fields = Record<string, Field<unknown>>;

/** The type of the checked options of a table of fields. */
export type Parsed<F extends Fields> = { readonly [K in keyof F]: ReturnType<F[K]> };

/**
 * Reads an options object against a table of fields; each property is read once.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG naming the option, also for names that are not in the table.
 */
export function parseOptions<F extends Fields>(fields: F, value: unknown): Parsed<F> {
  const given = within('options', () => readNames(Object.keys(fields), value));
  const parsed = Object.entries(fields).map(([name, field]) => [name, checkOption(name, () => field(given[name]))]);
  return Object.fromEntries(parsed) as Parsed<F>;
}

function readNames(known: readonly string[], value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || isArray(value)) {
    throw mismatch('ERR_INVALID_ARG', 'an object', describe(value));
  }
  const given = readForeign(() => ({ ...value })) as Record<string, unknown>;
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown === undefined) return given;
  throw mismatch('ERR_INVALID_ARG', `only ${known.join(', ')}`, describe(unknown) + didYouMean(unknown, known));
}

/**
 * Runs the check of one option. Its error carries the name of the option, or of the outer one for an option within an option.
 */
export function checkOption<T>(name: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw ofOption(name, error);
  }
}

/** The error of a check that spans several options. */
export function wrongOption(name: string, expected: string, received: string): QARepVGGError {
  return ofOption(name, mismatch('ERR_INVALID_ARG', expected, received));
}

function ofOption<T>(name: string, error: T): T {
  return error instanceof QARepVGGError ? Object.assign(placed(`option ${name}`, error), { option: name }) : error;
}

/** An integer from `low` to `high`; without a default it must be given. */
export function integer(low: number, high: number, fallback?: number): Field<number> {
  return (value = fallback) => {
    if (Number.isSafeInteger(value) && (value as number) >= low && (value as number) <= high) return value as number;
    throw mismatch('ERR_INVALID_ARG', `an integer from ${low} to ${high}`, describe(value));
  };
}

/** A number from `low` to `high`; `low` itself is excluded when `open` is set. */
export function number(low: number, high: number, fallback: number, { open = false } = {}): Field<number> {
  return (value = fallback) => {
    const inside = typeof value === 'number' && (open ? value > low : value >= low) && value <= high;
    if (inside) return value;
    const expected = open ? `a number above ${low} and up to ${high}` : `a number from ${low} to ${high}`;
    throw mismatch('ERR_INVALID_ARG', expected, describe(value));
  };
}

/** A number up to `high` that is still above 0 in float32, in which the kernels compute. */
export function positive(high: number, fallback: number): Field<number> {
  return number(2 ** -149, high, fallback);
}

export function boolean(fallback: boolean): Field<boolean> {
  return (value = fallback) => {
    if (typeof value === 'boolean') return value;
    throw mismatch('ERR_INVALID_ARG', 'true or false', describe(value));
  };
}

/** A string, or undefined. */
export const optionalText: Field<string | undefined> = (value) => {
  if (value === undefined || typeof value === 'string') return value;
  throw mismatch('ERR_INVALID_ARG', 'a name', describe(value));
};

/** A value that is checked elsewhere. */
export const anything: Field<unknown> = (value) => value;

/** One of a few values. */
export function oneOf<const T extends string | number>(values: readonly T[], fallback: T): Field<T> {
  return (value = fallback) => {
    if (values.includes(value as T)) return value as T;
    const received = describe(value) + didYouMean(value, values);
    throw mismatch('ERR_INVALID_ARG', values.map(describe).join(' or '), received);
  };
}

/** An option that may be left out and has no default. */
export function optional<T>(field: Field<T>): Field<T | undefined> {
  return (value) => (value === undefined ? undefined : field(value));
}

/** A function of the caller. */
export function callback<F extends (...values: never[]) => void>(): Field<F> {
  return (value) => {
    if (typeof value === 'function') return value as F;
    throw mismatch('ERR_INVALID_ARG', 'a function', describe(value));
  };
}

/** The seed of a random generator. */
export const seedField: Field<number> = integer(0, Number.MAX_SAFE_INTEGER, 0);

/** `Array.isArray`, which throws for a Proxy that has been revoked. @throws {QARepVGGError} ERR_INVALID_ARG */
export function isArray(value: unknown): value is readonly unknown[] {
  return readForeign(() => Array.isArray(value));
}

/**
 * Runs `read`, which may run code of the caller's objects (getters, proxy traps).
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG with the caller's exception as its cause.
 */
export function readForeign<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof QARepVGGError) throw error;
    throw failure('ERR_INVALID_ARG', 'expected a readable object, received one that throws', { cause: error });
  }
}
