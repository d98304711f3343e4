// Looked up once: in realms other than the main one, globals are slow to reach.
const { PI, cos, imul, log, sin, sqrt } = Math;

/**
 * A seeded generator of random numbers: the same seed makes the same numbers everywhere.
 *
 * The bits come from xoshiro128** 1.1, its state from SplitMix64, both by D. Blackman and S. Vigna
 * ("Scrambled linear pseudorandom number generators", ACM TOMS 47, 2021; https://prng.di.unimi.it). Normal deviates
 * come from the transform of G. Box and M. Muller (Ann. Math. Statist. 29, 1958). Not for secrets.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** @param seed An integer from 0 to 2^53 - 1. */
  constructor(seed: number) {
    const words = splitMix64(BigInt(seed));
    const first = words.next().value;
    const second = words.next().value;
    this.#a = Number(first & 0xffff_ffffn);
    this.#b = Number(first >> 32n);
    this.#c = Number(second & 0xffff_ffffn);
    this.#d = Number(second >> 32n);
  }

  /** 32 random bits, as an integer from 0 to 2^32 - 1. */
  bits(): number {
    const result = imul(rotateLeft(imul(this.#b, 5), 7), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = rotateLeft(this.#d, 11);
    return result;
  }

  /** Uniform in [low, high). */
  uniform(low = 0, high = 1): number {
    return low + ((high - low) * this.bits()) / 2 ** 32;
  }

  /** An integer from 0 to `count` - 1; `count` is at most 2^32. */
  below(count: number): number {
    return Math.floor((this.bits() / 2 ** 32) * count);
  }

  /** Fills `target` with uniform values between `low` and `high`. */
  fillUniform(target: Float32Array, low: number, high: number): void {
    for (let i = 0; i < target.length; i++) target[i] = this.uniform(low, high);
  }

  /** Fills `target` with normal deviates. */
  fillNormal(target: Float32Array, mean = 0, std = 1): void {
    for (let i = 0; i < target.length; i += 2) {
      // Half a step off zero, where the logarithm has no value.
      const radius = std * sqrt(-2 * log((this.bits() + 0.5) / 2 ** 32));
      const angle = this.uniform(0, 2 * PI);
      target[i] = mean + radius * cos(angle);
      if (i + 1 < target.length) target[i + 1] = mean + radius * sin(angle);
    }
  }
}

function rotateLeft(word: number, count: number): number {
  return (word << count) | (word >>> (32 - count));
}

/** Stretches a seed to as many 64-bit words as wanted. */
function* splitMix64(seed: bigint): Generator<bigint, never> {
  let state = seed;
  for (;;) {
    state = BigInt.asUintN(64, state + 0x9e37_79b9_7f4a_7c15n);
    let word = state;
    word = BigInt.asUintN(64, (word ^ (word >> 30n)) * 0xbf58_476d_1ce4_e5b9n);
    word = BigInt.asUintN(64, (word ^ (word >> 27n)) * 0x94d0_49bb_1331_11ebn);
    yield word ^ (word >> 31n);
  }
}
