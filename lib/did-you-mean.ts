/** Longest name that is compared: the work grows with the square of the length, and names of this package are short. */
const maxLength = 64;

/** `; did you mean "qarepvgg_a0"?`, to follow a message about a wrong name; empty where no name resembles it. */
export function didYouMean(text: unknown, names: readonly unknown[]): string {
  const name = typeof text === 'string' ? nearest(text, names) : undefined;
  return name === undefined ? '' : `; did you mean ${JSON.stringify(name)}?`;
}

/**
 * The name that a mistyped one resembles most, if any: at most a third of its letters differ; case and punctuation do not
 * count.
 */
function nearest(text: string, names: readonly unknown[]): string | undefined {
  const wanted = letters(text);
  if (wanted === '' || text.length > maxLength) return undefined;
  let [best, least] = [undefined as string | undefined, Math.max(1, Math.floor(wanted.length / 3)) + 1];
  for (const name of names) {
    if (typeof name !== 'string' || name.length > maxLength) continue;
    const distance = editDistance(wanted, letters(name));
    if (distance < least) [best, least] = [name, distance];
  }
  return best;
}

function letters(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '');
}

/** Levenshtein's distance, where swapping two neighbours counts as one edit. */
function editDistance(a: string, b: string): number {
  let [before, row] = [[] as number[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const edits = [
        (row[j] as number) + 1,
        (next[j - 1] as number) + 1,
        (row[j - 1] as number) + Number(a[i - 1] !== b[j - 1]),
      ];
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) edits.push((before[j - 2] as number) + 1);
      next.push(Math.min(...edits));
    }
    [before, row] = [row, next];
  }
  return row[b.length] as number;
}
