/** Prefixes that PyTorch adds to every name: DataParallel, averaged models, torch.compile. */
export const torchWrappers: readonly string[] = ['module.', '_orig_mod.'];

/** With those that training frameworks add: Lightning, MMEngine and many more. */
const wrappers: readonly string[] = [...torchWrappers, 'model.', 'backbone.', 'net.', 'network.'];

/** Words for averaged weights in state dicts that hold both sets. */
const averaged = /(?:^|[._])(?:ema|averaged?|shadow|swa)(?:$|[._])/i;

/** The chain of wrappers that all names begin with: "model.module."; empty without names. */
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

/** Whether this is a batch norm's counter, which only training needs. State dicts may lack it, such as those before PyTorch 0.4.1. */
export function isCounter(name: string): boolean {
  return name === 'num_batches_tracked' || name.endsWith('.num_batches_tracked');
}

/** Whether PyTorch may add this name to a state dict though it is not a tensor of the network. */
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
