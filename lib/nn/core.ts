import type { Program } from '../../binding';
import { describeList, failure, mismatch, within } from '../errors';
import type { Graph } from '../graph/graph';
import type { Size } from '../image-size';
import type { Preprocessing } from '../preprocessing';
import { asImages, asTensor, inThisRealm, type Tensor } from '../tensor';
import { refuseClones } from '../uncloneable';
import type { Form } from './blocks/structure';
import { ProgramCache } from './programs';
import type { Naming, OtherKind } from './state/fit';
import type { Layout } from './state/layouts';
import type { Store } from './state/state';
import type { Traits } from './state/traits';

/** What a module is: its tensors and the graph that computes it. A block gets a new definition when it changes its form. */
export interface Definition {
  /** For messages: "QARepVGGBlock(64 -> 64, stride 1)". */
  readonly summary: string;
  readonly inChannels: number;
  readonly store: Store;
  /** Makes the graph, without numbers, which are in the store. Not every module is run: many are fused. */
  readonly graph: () => Graph;
  /** How far the branches are folded; nothing for a module without branches. */
  readonly form?: Form;
  /** Layouts that name the tensors. */
  readonly layouts: readonly Layout[];
  /** Names of the tensors, in every form of the module. */
  readonly namings: () => readonly Naming[];
  /** Finds the module that would fit a state dict with another kind of blocks; nothing for a module without kinds. */
  readonly otherKind?: (keys: readonly string[], layout: Layout) => OtherKind | undefined;
  /** Options that the meaning of a state dict depends on though it does not show them, by name. */
  readonly traits: Traits;
  /** Outputs are [n, c], not [n, c, 1, 1]. */
  readonly flat?: boolean;
  /** Size of the images that it is made for; others work too. */
  readonly inputSize?: Size;
  /** How the bytes of an image become its inputs. */
  readonly preprocessing?: Preprocessing;
  /** Names of the classes. */
  readonly labels?: readonly string[];
}

/**
 * What every module consists of: a definition, compiled programs, and the activations that `backward` needs. The public
 * classes only forward to it.
 */
export class ModuleCore {
  /** Name of the module's class, or of a layer in its network; for messages. */
  readonly name: string;
  training = true;
  #definition: Definition;
  readonly #programs = new ProgramCache();
  #revision = 0;
  /** The program that holds the activations of the last forward that kept them. */
  #graph: { program: Program; inputDims: number[] } | undefined;

  constructor(name: string, definition: Definition) {
    this.name = name;
    this.#definition = definition;
  }

  get definition(): Definition {
    return this.#definition;
  }

  set definition(definition: Definition) {
    this.#definition = definition;
    this.#programs.clear();
    this.weightsChanged();
  }

  /** How often the weights have been replaced. A trainer holds a copy of them and copies again when this rises. */
  get revision(): number {
    return this.#revision;
  }

  /** Drops the activations: they belong to the old weights, so they say nothing about the gradient. */
  weightsChanged(): void {
    this.#graph = undefined;
    this.#revision++;
  }

  forward(x: unknown, keepGraph: boolean, out?: unknown): Tensor {
    const target = out === undefined ? undefined : within('out', () => asTensor(out));
    const { input, program } = this.#prepare(x, this.training, keepGraph);
    const dims = this.#outputDims(program);
    if (target) within('out', () => checkDims(target, dims, 'the output'));
    // Before the run: if it fails, it leaves no activations that can be used.
    if (keepGraph) this.#graph = undefined;
    const { values } = this.#definition.store;
    const data = inThisRealm(program.forward(input.data, values, target?.data));
    if (keepGraph) this.#graph = { program, inputDims: input.dims };
    return { data, dims };
  }

  async forwardAsync(x: unknown): Promise<Tensor> {
    if (this.training) {
      throw mismatch('ERR_INVALID_STATE', 'a module in eval mode', 'one in training mode; call eval() first');
    }
    const { input, program } = this.#prepare(x, false, false);
    const { values } = this.#definition.store;
    const data = inThisRealm(await program.forwardAsync(input.data, values));
    return { data, dims: this.#outputDims(program) };
  }

  backward(gradOutput: unknown, out?: unknown): Tensor {
    const gradient = within('gradOutput', () => asTensor(gradOutput));
    const target = out === undefined ? undefined : within('out', () => asTensor(out));
    const graph = this.#graph;
    if (!graph) {
      const received = 'none (each forward serves one backward, and loading weights or changing the form ends it)';
      throw mismatch('ERR_INVALID_STATE', 'a forward that kept its graph', received);
    }
    within('gradOutput', () => checkDims(gradient, this.#outputDims(graph.program), 'the last output'));
    if (target) within('out', () => checkDims(target, graph.inputDims, 'the last input'));
    const { store } = this.#definition;
    store.checkAttached();
    this.#graph = undefined;
    const { values, gradients } = store;
    const data = inThisRealm(graph.program.backward(gradient.data, values, gradients, target?.data));
    return { data, dims: [...graph.inputDims] };
  }

  /** Modules on the same memory that compute this one when run one after the other. A comparison compares them singly. */
  parts(): readonly ModuleCore[] {
    return [this];
  }

  #outputDims({ outputDims }: Program): number[] {
    return this.#definition.flat ? outputDims.slice(0, 2) : [...outputDims];
  }

  /** Makes every check that is possible before native memory is touched. */
  #prepare(x: unknown, training: boolean, gradients: boolean): { input: Tensor; program: Program } {
    const input = within('input', () => asImages(x, this.#definition.inChannels));
    // Read after x: reading x may run the caller's code, which may change the form.
    const definition = this.#definition;
    definition.store.checkAttached();
    return { input, program: this.#programs.get(definition, { input: input.dims, training, gradients }) };
  }
}

function checkDims(given: Tensor, dims: readonly number[], of: string): void {
  const expected = describeList(dims);
  const received = describeList(given.dims);
  if (received !== expected) throw mismatch('ERR_SHAPE', ' dims', `${expected} as ${of}`, received);
}

const cores = new WeakMap<object, ModuleCore>();

/** Attaches a core to a module; its constructor calls this once. */
export function giveCore(module: object, core: ModuleCore): void {
  refuseClones(module);
  cores.set(module, core);
}

/** Whether this is a block, layer or network. */
export function isModule(value: unknown): boolean {
  return typeof value === 'object' && value !== null && cores.has(value);
}

/**
 * Returns the core of a module. Every public method starts here, so that a wrong `this` (a clone that a worker received, a
 * bare prototype, another object) ends in an error that says so.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG
 */
export function coreOf(module: unknown): ModuleCore {
  const core = typeof module === 'object' && module !== null ? cores.get(module) : undefined;
  if (core) return core;
  throw failure(
    'ERR_INVALID_ARG',
    'expected a module made by its constructor, received another object (modules cannot be cloned or posted to a worker; send stateDict() instead)',
  );
}
