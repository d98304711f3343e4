import { mismatch } from '../../errors';
import { asText, type Traits } from '../../nn/state/traits';
import type { RawTensor } from '../dtypes';
import { isDict, isRawTensor, Opaque, OpaqueTensor, type PickleDict } from './values';

/** Far more than any network has. A limit, because a module may occur in several places, even in itself. */
const maxModules = 2 ** 16;

/** What a pickled `nn.Module` holds. */
export interface ModuleContent {
  /** By the names that its `state_dict()` would have. */
  readonly tensors: Record<string, RawTensor | OpaqueTensor>;
  /** What its attributes say about its blocks. */
  readonly traits: Traits;
}

interface ModuleState extends PickleDict {
  _parameters: PickleDict;
  _buffers: PickleDict;
  _modules: PickleDict;
}

function stateOf(value: unknown): ModuleState | undefined {
  const attributes = value instanceof Opaque ? value.attributes : undefined;
  const isModule = ['_parameters', '_buffers', '_modules'].every((name) => isDict(attributes?.[name]));
  return isModule ? (attributes as ModuleState) : undefined;
}

/** Reads the tensors of a pickled module, without its code; undefined for anything else. @throws {QARepVGGError} ERR_LIMIT */
export function readModule(module: unknown): ModuleContent | undefined {
  if (!stateOf(module)) return undefined;
  const tensors = Object.create(null) as Record<string, RawTensor | OpaqueTensor>;
  const facts = new Facts();
  const stack: [value: unknown, prefix: string][] = [[module, '']];
  for (let count = 0; stack.length > 0; count++) {
    if (count === maxModules) throw mismatch('ERR_LIMIT', `at most ${maxModules} modules`, 'more');
    const [value, prefix] = stack.pop() as [unknown, string];
    const state = stateOf(value);
    if (!state) continue;
    facts.add(state);
    for (const [name, tensor] of namedTensors(state)) tensors[prefix + name] = tensor;
    // Reversed, so that the stack returns them in the order of PyTorch.
    for (const [name, child] of Object.entries(state._modules).reverse()) stack.push([child, `${prefix}${name}.`]);
  }
  return { tensors, traits: facts.traits() };
}

function namedTensors({ _parameters, _buffers, _non_persistent_buffers_set }: ModuleState) {
  const left = new Set<unknown>(Array.isArray(_non_persistent_buffers_set) ? _non_persistent_buffers_set : []);
  const members = Object.entries({ ..._parameters, ..._buffers }).filter(([name]) => !left.has(name));
  return members.filter(
    (member): member is [string, RawTensor | OpaqueTensor] =>
      isRawTensor(member[1]) || member[1] instanceof OpaqueTensor,
  );
}

/** Options that names of tensors do not show, but attributes of modules do. */
class Facts {
  readonly #eps = new Set<unknown>();
  readonly #identity = new Set<boolean>();
  readonly #average = new Set<boolean>();

  add({ _buffers, _modules, eps, use_residual_connection: residual }: ModuleState): void {
    if ('running_mean' in _buffers && typeof eps === 'number') this.#eps.add(eps);
    const dense = stateOf(_modules.rbr_dense ?? _modules.branch_3x3);
    const conv = dense && (_modules.rbr_dense ?? _modules.branch_3x3) instanceof Opaque ? convOf(dense) : undefined;
    if (!conv || conv.in_channels !== conv.out_channels || asText(conv.stride) !== '[1,1]') return;
    this.#identity.add(typeof residual === 'boolean' ? residual : isThere(_modules.rbr_identity));
    this.#average.add(isThere(_modules.rbr_avg));
  }

  traits(): Traits {
    const known = { eps: only(this.#eps), identity: only(this.#identity), averageBranch: only(this.#average) };
    return Object.fromEntries(Object.entries(known).filter(([, text]) => text !== undefined)) as Traits;
  }
}

function convOf({ _modules }: ModuleState): PickleDict | undefined {
  const { conv } = _modules;
  return conv instanceof Opaque ? conv.attributes : undefined;
}

function isThere(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** The value, if there is only one: no module of this package has several. */
function only(values: ReadonlySet<unknown>): string | undefined {
  const [first] = values;
  return values.size > 1 ? 'of several kinds' : first === undefined ? undefined : asText(first);
}
