/** What PyTorch puts in front of every name: DataParallel and averaged models, torch.compile. */
export const torchWrappers: readonly string[] = ['module.', '_orig_mod.'];

/** What training codes put there besides: Lightning, MMEngine and many more. */
const wrappers: readonly string[] = [...torchWrappers, 'model.', 'backbone.', 'net.', 'network.'];

/** Words for averaged weights where both sets are in one state dict. */
const averaged = /(?:^|[._])(?:ema|averaged?|shadow|swa)(?:$|[._])/i;

/** The wrappers that all names begin with, in a chain: "model.module."; nothing without names. */
export function sharedWrappers(names: readonly string[], words = wrappers): string {
  let [shortest = ''] = names;
  for (const name of names) if (name.length < shortest.length) shortest = name;
  const chain = wrappersOf(shortest, words);
  const shared = names.map((name) => commonStart(name, chain)).reduce((a, b) => Math.min(a, b), chain.length);
  return wrappersOf(chain.slice(0, shared), words);
}

/** Whether a prefix stands for averaged weights: "ema_model.". */
export function isAveraged(prefix: string): boolean {
  return averaged.test(prefix);
}

/** A counter that a batch norm needs in training only; state dicts from before PyTorch 0.4.1, and many converted ones, lack it. */
export function isCounter(name: string): boolean {
  return name === 'num_batches_tracked' || name.endsWith('.num_batches_tracked');
}

/** What a state dict may hold under PyTorch's names that is no tensor of the network. */
export function isBeside(name: string): boolean {
  return name === 'n_averaged' || name === '_extra_state' || name.endsWith('._extra_state');
}

/** The wrappers at the beginning of a name. */
function wrappersOf(name: string, words: readonly string[]): string {
  for (let end = 0; ; ) {
    const word = words.find((candidate) => name.startsWith(candidate, end));
    if (word === undefined) return name.slice(0, end);
    end += word.length;
  }
}

/** How many characters two texts begin with alike. */
function commonStart(a: string, b: string): number {
  if (a.startsWith(b)) return b.length;
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}
