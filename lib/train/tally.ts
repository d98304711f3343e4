/** The right class must be one of this many best ones. */
const five = 5;

/** The smallest double above 0: the logarithm of a probability of 0 would be infinite. */
const leastProbability = 2 ** -1074;

/** Counts how often a classifier is right. */
export class Tally {
  #images = 0;
  #right = 0;
  #among = 0;
  #loss = 0;

  /** @param logits One for each class. @returns The class of the largest. */
  addLogits(logits: Float32Array, label: number): number {
    const best = this.#add(logits, label);
    // log(sum of exp) - logit, with the largest logit factored out so that nothing overflows.
    const top = logits[best] as number;
    const sum = logits.reduce((total, value) => total + Math.exp(value - top), 0);
    this.#loss += Math.log(sum) + top - (logits[label] as number);
    return best;
  }

  /** @param probabilities One for each class. @returns The class of the largest. */
  addProbabilities(probabilities: Float64Array, label: number): number {
    this.#loss -= Math.log(Math.max(leastProbability, probabilities[label] as number));
    return this.#add(probabilities, label);
  }

  /** Shares of images; NaN of none. */
  get result(): { readonly loss: number; readonly accuracy: number; readonly top5: number } {
    const [loss, accuracy, top5] = [this.#loss, this.#right, this.#among].map((sum) => sum / this.#images);
    return { loss, accuracy, top5 } as { loss: number; accuracy: number; top5: number };
  }

  #add(scores: Float32Array | Float64Array, label: number): number {
    const best = argmax(scores);
    this.#images++;
    if (best === label) this.#right++;
    if (best === label || isAmong(scores, label)) this.#among++;
    return best;
  }
}

/** Index of the largest number: the first of equals, like PyTorch's argmax. */
export function argmax(row: Float32Array | Float64Array): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) if ((row[i] as number) > (row[best] as number)) best = i;
  return best;
}

/** Whether fewer than five classes rank before it. Of equal scores the first ranks first. */
function isAmong(scores: Float32Array | Float64Array, label: number): boolean {
  const own = scores[label] as number;
  if (Number.isNaN(own)) return false;
  let before = 0;
  for (let i = 0; i < scores.length; i++) {
    const value = scores[i] as number;
    if (!(value < own) && (value !== own || i < label)) before++;
  }
  return before < five;
}
