/**
 * The raw native addon, typed in one place. Not public: lib/binding.ts loads it and the rest of lib/ is its only caller.
 *
 * Conventions
 * - Images and gradients are NCHW, row-major, float32, exactly as long as their dims say.
 * - A network's parameters and buffers live in one flat Float32Array, the "state"; ops name their tensors by offset
 *   into it, counted in floats. Gradients of parameters live in a second array with the same offsets.
 * - Errors are instances of the class handed over with `setErrorClass`.
 */

/** Offset of a tensor in the flat state, in floats. */
export type StateOffset = number;

/** Number of a value: 0 is the network's input, op number i of the list produces value i + 1. */
export type ValueId = number;

export interface ConvOp {
  readonly op: 'conv';
  readonly input: ValueId;
  readonly outChannels: number;
  /** Square kernel, 1 or 3. */
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
  readonly groups: number;
  /** [outChannels, inChannels / groups, kernel, kernel] */
  readonly weight: StateOffset;
  /** [outChannels] */
  readonly bias?: StateOffset;
  /** Fuses a ReLU into the store. */
  readonly relu?: boolean;
}

export interface BatchNormOp {
  readonly op: 'batchNorm';
  readonly input: ValueId;
  readonly eps: number;
  readonly momentum: number;
  /** Each [channels]. */
  readonly weight: StateOffset;
  readonly bias: StateOffset;
  readonly runningMean: StateOffset;
  readonly runningVar: StateOffset;
  /** One float: number of batches tracked. */
  readonly batches: StateOffset;
  /** Fuses a ReLU into the store. */
  readonly relu?: boolean;
}

/** Sum of two or more values of the same dims. */
export interface AddOp {
  readonly op: 'add';
  readonly inputs: readonly ValueId[];
  readonly relu?: boolean;
}

/** Value times one learnable number. */
export interface ScaleOp {
  readonly op: 'scale';
  readonly input: ValueId;
  readonly factor: StateOffset;
}

/** 3x3, stride 1, padding 1, padding counted: every output is the sum of nine taps divided by nine. */
export interface AveragePoolOp {
  readonly op: 'averagePool';
  readonly input: ValueId;
}

/** Mean over the pixels of each channel: [n, c, h, w] -> [n, c, 1, 1]. */
export interface GlobalAverageOp {
  readonly op: 'globalAverage';
  readonly input: ValueId;
}

export interface ReluOp {
  readonly op: 'relu';
  readonly input: ValueId;
}

export type Op = ConvOp | BatchNormOp | AddOp | ScaleOp | AveragePoolOp | GlobalAverageOp | ReluOp;

export interface ProgramSpec {
  /** Dims of the input, [n, c, h, w]. The output is the value of the last op. */
  readonly input: readonly number[];
  readonly ops: readonly Op[];
  /** Length of the state array that every run is given, in floats. */
  readonly stateLength: number;
  /** Batch norm uses and updates batch statistics (true) or running statistics (false). */
  readonly training: boolean;
  /** Keep every activation so that `backward` can follow `forward`. */
  readonly gradients: boolean;
  /** Upper limit of threads; 0 or absent: as many as `info().threads`. */
  readonly threads?: number;
}

/** A list of ops compiled for fixed dims: memory is planned once, every run is one call. */
export interface Program {
  readonly outputDims: number[];
  /** Bytes of native memory that this program owns. */
  readonly memoryBytes: number;
  /** Runs on the calling thread. With `training`, updates running statistics in `state`. */
  forward(input: Float32Array, state: Float32Array): Float32Array;
  /** Runs off the JavaScript thread; input and state are copied before it returns. Refused with `training`. */
  forwardAsync(input: Float32Array, state: Float32Array): Promise<Float32Array>;
  /**
   * Gradient of the last forward's input; adds parameter gradients to `gradients` (same offsets as `state`).
   * Needs `gradients: true` and one forward before each backward.
   */
  backward(gradOutput: Float32Array, state: Float32Array, gradients: Float32Array): Float32Array;
}

export interface FuseBatchNorm {
  /** gamma, [outChannels] */
  readonly weight: Float32Array;
  /** beta, [outChannels] */
  readonly bias: Float32Array;
  readonly runningMean: Float32Array;
  readonly runningVar: Float32Array;
  readonly eps: number;
}

export type FuseBranch =
  | {
      readonly kind: 'conv';
      /** 1 or 3; 1x1 kernels go to the centre tap. */
      readonly kernel: number;
      readonly weight: Float32Array;
      readonly bias?: Float32Array;
      /** alpha of super-gradients: multiplies weight and bias. */
      readonly scale?: number;
      readonly batchNorm?: FuseBatchNorm;
    }
  | { readonly kind: 'identity'; readonly batchNorm?: FuseBatchNorm }
  | { readonly kind: 'average'; readonly batchNorm?: FuseBatchNorm };

export interface FuseSpec {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly groups: number;
  readonly branches: readonly FuseBranch[];
  /** Batch norm over the sum of the branches. */
  readonly postBatchNorm?: FuseBatchNorm;
}

export interface FusedConv {
  /** [outChannels, inChannels / groups, 3, 3] */
  readonly weight: Float32Array;
  /** [outChannels] */
  readonly bias: Float32Array;
}

export interface NativeInfo {
  /** Version the addon was built for; equals package.json's. */
  readonly version: string;
  /** Instruction set in use. */
  readonly isa: string;
  /** Instruction sets this build and this CPU both have, slowest first. */
  readonly isas: string[];
  /** Threads a program may use. */
  readonly threads: number;
  /** Where that number came from. */
  readonly threadsFrom: 'QAREPVGG_NUM_THREADS' | 'affinity' | 'cgroup quota';
}

export interface Addon {
  setErrorClass(errorClass: new (code: string, message: string) => Error): void;
  /** Throws ERR_ISA when QAREPVGG_ISA names an unknown or unsupported instruction set. */
  info(): NativeInfo;
  Program: new (spec: ProgramSpec) => Program;
  /** Folds branches and batch norms into one 3x3 convolution; computed in double, rounded once. */
  fuse(spec: FuseSpec): FusedConv;
}
