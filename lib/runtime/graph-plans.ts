import type { EarlyWeights, GraphSpec, Session } from '../../binding';
import { addon } from '../binding';
import { QARepVGGError } from '../errors';
import type { AttributeValue, Graph, GraphTensor, Value, ValueType } from '../graph/graph';
import { isIndependent } from '../graph/independent';
import { lowerGraph } from '../graph/lower';
import { settledConvolutions } from '../graph/settled-convolutions';
import { type InputDims, specialize, specializeSteps } from '../graph/specialize';
import { byteScaling, type Preprocessing } from '../preprocessing';
import { releaseMemory } from '../release-memory';
import { atOnce, inSlices, made, type Steps } from '../slices';
import type { CheckedSessionOptions } from './options';
import { Plan, type Plans, refuseDisposed, type WantedPlan } from './plans';

/** Loaded with the first graph of a file: networks of this package have no need of them. */
const passes = (): typeof import('../graph/passes') => require('../graph/passes');

interface Entry {
  readonly promise: Promise<Plan>;
  readonly independent: boolean;
  ready?: Plan;
}

/** The plan that {@link GraphPlans} has for some dims, if any, and the one to make. */
interface Found {
  readonly known: Entry | undefined;
  readonly wanted: Wanted;
  /** How many images the run has. */
  readonly count: number;
}

interface Wanted {
  readonly graph: Graph;
  /** Key of the inputs that are constants. */
  readonly key: string;
  readonly all: InputDims;
  /** Dims of one image, if the number of images is open. */
  readonly alone: InputDims | undefined;
}

/** How a plan is made, and its key. */
interface Recipe {
  readonly name: string;
  readonly independent: boolean;
  /** The graph with the dims of all values. */
  readonly special: Steps<Graph>;
}

type Options = Pick<CheckedSessionOptions, 'algorithm' | 'threads' | 'maxBatch'> & {
  /** For feeds of bytes; undefined unless the input is images. */
  readonly preprocessing: Preprocessing | undefined;
  /** Nothing else reads the graph's tensors. */
  readonly isOwned: boolean;
};

/** How many plans are kept. The least recently used one is freed first. */
const maxPlans = 4;

/** Compiles a graph for the dims of runs, and keeps the plans. */
export class GraphPlans implements Plans {
  readonly #graph: Graph;
  readonly #options: Options;
  readonly #plans = new Map<string, Entry>();
  #disposed = false;

  constructor(graph: Graph, options: Options) {
    this.#graph = graph;
    this.#options = options;
  }

  check(): void {
    refuseDisposed(this.#disposed);
  }

  get(dims: InputDims, parameters: ReadonlyMap<string, GraphTensor>): WantedPlan {
    const { known, wanted, count } = this.#look(dims, parameters);
    const { ready, promise } = known ?? this.#make(wanted);
    return { ready, promise, count };
  }

  getNow(dims: InputDims, parameters: ReadonlyMap<string, GraphTensor>): { plan: Plan; count: number } {
    const { known, wanted, count } = this.#look(dims, parameters);
    return { plan: known?.ready ?? this.#makeNow(wanted), count };
  }

  #look(dims: InputDims, parameters: ReadonlyMap<string, GraphTensor>): Found {
    this.check();
    const images = [...dims].filter(([name]) => !parameters.has(name));
    const count = images[0]?.[1][0] ?? 1;
    const open =
      images.every(([, list]) => list.length > 0 && list[0] === count) &&
      this.#graph.inputs.every(({ name, dims: [n] }) => parameters.has(name) || typeof n === 'string');
    const alone = new Map(images.map(([name, list]) => [name, [1, ...list.slice(1)]]));
    const all = new Map(images);
    const key = keyOf(parameters);
    const known = (open ? this.#find(keyOfDims(alone) + key, true) : undefined) ?? this.#find(keyOfDims(all) + key);
    const wanted = { graph: withConstants(this.#graph, parameters), key, all, alone: open ? alone : undefined };
    return { known, wanted, count: open ? count : 1 };
  }

  memoryBytes(): number {
    this.check();
    const ready = [...this.#plans.values()].flatMap((plan) => plan.ready ?? []);
    return ready.reduce((sum, { native }) => sum + native.memoryBytes(), 0);
  }

  dispose(): void {
    this.#disposed = true;
    for (const { promise } of this.#plans.values()) release(promise);
    this.#plans.clear();
  }

  /** @param independent Find only a plan that takes any number of images. */
  #find(key: string, independent = false): Entry | undefined {
    const found = this.#plans.get(key);
    if (!found || (independent && !found.independent)) return undefined;
    this.#plans.delete(key);
    this.#plans.set(key, found);
    return found;
  }

  #make(wanted: Wanted): Entry {
    const { special, independent, name } = planned(wanted);
    const promise = this.#compile(wanted.graph, special, independent);
    const plan: Entry = { promise, independent };
    this.#keep(name, plan);
    promise.then(
      (ready) => {
        plan.ready = ready;
      },
      () => this.#plans.get(name) === plan && this.#plans.delete(name),
    );
    return plan;
  }

  /** Replaces a plan that is still being made. */
  #makeNow(wanted: Wanted): Plan {
    const { special, independent, name } = planned(wanted);
    const graph = atOnce(passes().simplify(atOnce(special)));
    const spec = this.#specOf(graph, independent);
    const native = addon.createSessionSync(spec);
    const ready = planOf(graph, native, independent);
    release(this.#plans.get(name)?.promise);
    this.#plans.delete(name);
    this.#keep(name, { promise: Promise.resolve(ready), independent, ready });
    return ready;
  }

  #keep(name: string, plan: Entry): void {
    this.#plans.set(name, plan);
    const [oldest, ...others] = this.#plans.keys();
    if (others.length < maxPlans || oldest === undefined) return;
    release(this.#plans.get(oldest)?.promise);
    this.#plans.delete(oldest);
  }

  async #compile(source: Graph, steps: Steps<Graph>, independent: boolean): Promise<Plan> {
    const special = await inSlices(steps);
    const isLast = this.#options.isOwned && hasFixedDims(source.inputs, independent);
    const early = isLast ? this.#packEarly(special) : undefined;
    const packed = Promise.resolve(early?.done).catch(() => undefined); // it is no fault of the session
    const graph = await inSlices(passes().simplify(special));
    const kept = isLast ? new Set() : buffersOf(source);
    const spec = { ...this.#specOf(graph, independent), early };
    const constants = spec.constants.map((constant) => ({ ...constant, take: !kept.has(constant.data.buffer) }));
    const making = addon.createSession({ ...spec, constants });
    // The addon has what it needs then, and packed weights take more memory than those of a file.
    if (isLast) void packed.then(() => releaseTensors(source));
    return planOf(graph, await making, independent);
  }

  /** Lets the compute thread pack what it can while passes run, which leave the tensors as they are. */
  #packEarly(special: Graph): EarlyWeights | undefined {
    const settled = settledConvolutions(special);
    return settled && addon.packEarly(this.#specOf(settled, false));
  }

  #specOf(graph: Graph, independent: boolean): GraphSpec {
    const { algorithm, threads = 0, maxBatch: together, preprocessing } = this.#options;
    // An input that weights depend on is a constant of the plan.
    const bytes = preprocessing && graph.inputs.length > 0 ? byteScaling(preprocessing) : {};
    return { ...lowerGraph(graph), independent, algorithm, threads, together, ...bytes };
  }
}

/** Whether a plan serves all runs: nothing is open but the number of images, of which it takes any. */
function hasFixedDims(inputs: readonly Value[], independent: boolean): boolean {
  return inputs.every(({ dims }) => dims.every((dim, axis) => typeof dim === 'number' || (independent && axis === 0)));
}

/** Smaller buffers are left to the garbage collector. */
const largeBuffer = 2 ** 16;

/** Frees the memory of tensors at once: garbage collection may come late. */
function releaseTensors(graph: Graph): void {
  for (const buffer of buffersOf(graph)) if (buffer.byteLength >= largeBuffer) releaseMemory(buffer as ArrayBuffer);
}

/** What tensors and attributes of the graph lie in. What passes have made lies elsewhere. */
function buffersOf({ tensors, nodes }: Graph): Set<ArrayBufferLike> {
  const attributes = nodes.flatMap((node) => Object.values(node.attributes).filter(isTensor));
  return new Set([...tensors.values(), ...attributes].map(({ data }) => data.buffer));
}

function isTensor(value: AttributeValue | undefined): value is GraphTensor {
  return typeof value === 'object' && 'data' in value;
}

function planOf(graph: Graph, native: Session, independent: boolean): Plan {
  const types = graph.outputs.map((name) => (graph.values.get(name) as ValueType).type);
  return new Plan(native, types, independent, passes().countProducts(graph));
}

function planned({ graph, key, all, alone }: Wanted): Recipe {
  const one = alone && forOneImage(graph, alone);
  const special = one ? made(one) : specializeSteps(graph, all);
  return { name: keyOfDims(one ? alone : all) + key, independent: one !== undefined, special };
}

function release(promise: Promise<Plan> | undefined): void {
  promise?.then(
    ({ native }) => native.dispose(),
    () => undefined,
  );
}

/** The graph for one image, where every image of a batch can be computed alone. */
function forOneImage(graph: Graph, alone: InputDims): Graph | undefined {
  const pair = new Map([...alone].map(([name, list]) => [name, [2, ...list.slice(1)]]));
  try {
    const one = specialize(graph, alone);
    return isIndependent(one, specialize(graph, pair)) ? one : undefined;
  } catch (error) {
    // The graph accepts one batch size only.
    if (error instanceof QARepVGGError) return undefined;
    throw error;
  }
}

function withConstants(graph: Graph, constants: ReadonlyMap<string, GraphTensor>): Graph {
  if (constants.size === 0) return graph;
  const inputs = graph.inputs.filter(({ name }) => !constants.has(name));
  return { ...graph, inputs, tensors: new Map([...graph.tensors, ...constants]) };
}

function keyOfDims(dims: InputDims): string {
  return [...dims.values()].map((list) => list.join('x')).join(',');
}

function keyOf(parameters: ReadonlyMap<string, GraphTensor>): string {
  return [...parameters.values()].map(({ dims, data }) => `;${dims.join('x')}:${data.join(',')}`).join('');
}
