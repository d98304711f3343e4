import { describe, mismatch, type QARepVGGError } from '../../errors';

/** Far more members than any network has tensors. */
export const maxMembers = 80_000;

/**
 * Reads JSON whose structure the caller knows: no recursion, no repeated member, no integer that a double cannot hold, no text
 * that is not Unicode. `JSON.parse` accepts all of these.
 */
export class JsonScanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** The names of an object's members. The caller must read each value before it asks for the next name. */
  *object(): Generator<string, undefined> {
    const names = new Set<string>();
    this.#punctuation('{');
    for (let first = true; !this.#ends('}'); first = false) {
      if (!first) this.#punctuation(',');
      const name = this.string();
      if (names.has(name)) throw this.failure('each name once in an object', describe(name));
      if (names.size === maxMembers) {
        throw mismatch('ERR_LIMIT', `at most ${maxMembers} members in an object`, 'more');
      }
      names.add(name);
      this.#punctuation(':');
      yield name;
    }
  }

  /** An array of at most `limit` elements, each read by `readElement`. */
  array<T>(limit: number, readElement: () => T): T[] {
    const elements: T[] = [];
    this.#punctuation('[');
    while (!this.#ends(']')) {
      if (elements.length === limit) throw this.failure(`an array of at most ${limit} elements`, 'more');
      if (elements.length > 0) this.#punctuation(',');
      elements.push(readElement());
    }
    return elements;
  }

  string(): string {
    this.#skipSpace();
    if (this.#text[this.#at] !== '"') throw this.failure('a string');
    const end = this.#endOfString();
    const literal = this.#text.slice(this.#at, end + 1);
    const value = plain.test(literal) ? literal.slice(1, -1) : parseLiteral(literal);
    if (typeof value !== 'string') throw this.failure('a string of Unicode');
    this.#at = end + 1;
    return value;
  }

  /** An integer from 0 to 2^53 - 1, without a fraction or an exponent. */
  integer(): number {
    this.#skipSpace();
    const [digits] = this.match(/(?:0|[1-9]\d{0,15})(?![\d.eE])/y) ?? [];
    if (digits === undefined || !Number.isSafeInteger(Number(digits))) {
      throw this.failure('an integer from 0 to 2^53 - 1');
    }
    return Number(digits);
  }

  /** What comes next, if it matches a sticky pattern; skips it. */
  match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text) ?? undefined;
    if (found) this.#at = pattern.lastIndex;
    return found;
  }

  /** The end of the text. */
  end(): void {
    this.#skipSpace();
    if (this.#at < this.#text.length) throw this.failure('the end');
  }

  /** Makes an error at the current place; by default it shows the text there. */
  failure(expected: string, received?: string): QARepVGGError {
    const rest = this.#text.slice(this.#at, this.#at + 20);
    const found = received ?? (rest === '' ? 'the end' : describe(rest));
    return mismatch('ERR_MODEL_FORMAT', `character ${this.#at}`, expected, found);
  }

  /** Skips a closing bracket, if it comes next. */
  #ends(bracket: string): boolean {
    if (this.#next() !== bracket) return false;
    this.#at++;
    return true;
  }

  /** Offset of the quote that ends the current string: the next one without a backslash before it. */
  #endOfString(): number {
    for (let at = this.#at + 1; ; at++) {
      at = this.#text.indexOf('"', at);
      if (at === -1) return this.#text.length;
      let backslashes = 0;
      while (this.#text[at - 1 - backslashes] === '\\') backslashes++;
      if (backslashes % 2 === 0) return at;
    }
  }

  #punctuation(character: string): void {
    if (this.#next() !== character) throw this.failure(`"${character}"`);
    this.#at++;
  }

  #next(): string | undefined {
    this.#skipSpace();
    return this.#text[this.#at];
  }

  #skipSpace(): void {
    while (' \t\n\r'.includes(this.#text[this.#at] ?? '-')) this.#at++;
  }
}

/** A string literal without escapes. */
const plain = /^"[ !#-[\]-~]*"$/;

/** Decodes escapes and refuses bare control characters and lone surrogates; undefined for anything but a literal. */
function parseLiteral(literal: string): unknown {
  try {
    const value: unknown = JSON.parse(literal);
    return typeof value === 'string' && /\p{Surrogate}/u.test(value) ? undefined : value;
  } catch {
    return undefined;
  }
}
