import { describe, mismatch, type QARepVGGError } from '../../errors';

/**
 * Reads JSON in the order in which the caller expects things, and nothing else: no recursion, no member twice in an
 * object, no integer that a double cannot hold, no text that is not Unicode. `JSON.parse` lets all of these pass.
 */
export class JsonScanner {
  readonly #text: string;
  readonly #where: string;
  #at = 0;

  constructor(text: string, where: string) {
    this.#text = text;
    this.#where = where;
  }

  /** An object. `readValue` must read the value of the member it is given. */
  object(readValue: (name: string) => void): void {
    const names = new Set<string>();
    this.#list('{', '}', () => {
      const name = this.string();
      if (names.has(name)) throw this.failure('each name once in an object', describe(name));
      names.add(name);
      this.#punctuation(':');
      readValue(name);
    });
  }

  /** An array of at most `limit` elements, each read by `readElement`. */
  array<T>(limit: number, readElement: () => T): T[] {
    const elements: T[] = [];
    this.#list('[', ']', () => {
      if (elements.length === limit) throw this.failure(`an array of at most ${limit} elements`, 'more');
      elements.push(readElement());
    });
    return elements;
  }

  string(): string {
    this.#skipSpace();
    if (this.#text[this.#at] !== '"') throw this.failure('a string');
    let end = this.#at + 1;
    while (end < this.#text.length && this.#text[end] !== '"') end += this.#text[end] === '\\' ? 2 : 1;
    const literal = this.#text.slice(this.#at, end + 1);
    const value = parseLiteral(literal);
    if (typeof value !== 'string' || /\p{Surrogate}/u.test(value)) throw this.failure('a string of Unicode');
    this.#at = end + 1;
    return value;
  }

  /** An integer from 0 to 2^53 - 1, without a fraction or an exponent. */
  integer(): number {
    this.#skipSpace();
    const [digits] = this.#match(/(?:0|[1-9]\d{0,15})(?![\d.eE])/y) ?? [];
    if (digits === undefined || !Number.isSafeInteger(Number(digits))) {
      throw this.failure('an integer from 0 to 2^53 - 1');
    }
    this.#at += digits.length;
    return Number(digits);
  }

  /** The end of the text. */
  end(): void {
    this.#skipSpace();
    if (this.#at < this.#text.length) throw this.failure('the end');
  }

  /** An error at the current place; by default it shows the text that is there. */
  failure(expected: string, received?: string): QARepVGGError {
    const rest = this.#text.slice(this.#at, this.#at + 20);
    const found = received ?? (rest === '' ? 'the end' : describe(rest));
    return mismatch('ERR_MODEL_FORMAT', `${this.#where}, character ${this.#at}`, expected, found);
  }

  /** Elements between brackets, with commas between them. */
  #list(open: string, close: string, readElement: () => void): void {
    this.#punctuation(open);
    if (this.#next() === close) {
      this.#at++;
      return;
    }
    for (;;) {
      readElement();
      if (this.#next() === close) break;
      this.#punctuation(',');
    }
    this.#at++;
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

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    return pattern.exec(this.#text);
  }
}

/** Decodes escapes and refuses bare control characters; `undefined` for what is no literal. */
function parseLiteral(literal: string): unknown {
  try {
    return JSON.parse(literal);
  } catch {
    return undefined;
  }
}
