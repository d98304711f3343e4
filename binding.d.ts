/**
 * The raw native addon, typed in one place. Not public: lib/binding.ts loads it and the rest of lib/ is its only caller.
 *
 * Conventions
 * - Images and gradients are NCHW, row-major, float32, exactly as long as their dims say.
 * - A network's parameters and buffers are in one flat Float32Array, the "state". Tensors are named by offset in it, in
 *   floats. Gradients of parameters are in a second array with the same offsets.
 * - Errors are instances of the class passed to `setErrorClass`.
 */

/** Offset of a tensor in the flat state, in floats. */
export type StateOffset = number;

/** An activation with a gradient. */
export type TrainedActivation = 'relu' | 'none';

/** A tensor of the state. */
export interface StateTensor {
  readonly offset: StateOffset;
  readonly dims: readonly number[];
}

/**
 * A node of a program, like {@link GraphNode}; it has one output, whose type follows from its operands. Operands are maps, that is the
 * input or outputs of nodes, and tensors of the state, whose trailing dims of 1 do not count. `activation` is none or relu.
 * - `conv` [x, weight, bias?]: attributes as in inference, for a square kernel of at most 7x7 and the same sizes both ways.
 *   `identity` adds x to the output of a 1x1 convolution of stride 1 that keeps the number of channels.
 * - `batchNorm` [x, weight, bias, mean, variance, batches, addend?]: tensors of [channels], but batches has one number; epsilon,
 *   momentum. addend is a map with the dims of x that is added to the output; then there is no activation.
 * - `sum` [a, b, ...]: at most eight maps with the same dims.
 * - `scale` [x, factor]: factor has one number. No activation.
 * - `averagePool` [x]: attributes as in inference, for 3x3, stride 1 and padding 1, which counts; outputSize may be left out. No
 *   activation.
 * - `globalPool` [x]: kind average. No activation.
 * - `squeezeExcite` [x, down, downBias, up, upBias]: as in inference.
 */
export type ProgramNode = Omit<GraphNode, 'outputs'>;

/**
 * Values are numbered: 0 is the input, then come the tensors, then the outputs of the nodes in order. Throws ERR_MODEL_INCOMPATIBLE for
 * an op that cannot be trained, ERR_INVALID_ARG or ERR_SHAPE for a node that does not fit its operands.
 */
export interface ProgramSpec {
  /** Dims of the input, [n, c, h, w]. The output is that of the last node. */
  readonly input: readonly number[];
  readonly tensors: readonly StateTensor[];
  /** In the order in which they run. */
  readonly nodes: readonly ProgramNode[];
  /** Length of the state array that every run gets, in floats. */
  readonly stateLength: number;
  /** Batch norm uses and updates batch statistics (true) or running statistics (false). */
  readonly training: boolean;
  /** Keep every activation so that `backward` can follow `forward`. */
  readonly gradients: boolean;
  /** Upper limit of threads; 0 or absent: as many as `info().threads`. */
  readonly threads?: number;
}

/** Nodes compiled for fixed dims: memory is planned once, and every run is one call. */
export interface Program {
  readonly outputDims: number[];
  /** Bytes of native memory that this program owns. */
  readonly memoryBytes: number;
  /**
   * Runs while the caller waits. With `training`, updates running statistics in `state`. Results go to `output` where
   * one is given, which may be the input.
   */
  forward(input: Float32Array, state: Float32Array, output?: Float32Array): Float32Array;
  /** Runs off the JavaScript thread; input and state are copied before it returns. Refused with `training`. */
  forwardAsync(input: Float32Array, state: Float32Array): Promise<Float32Array>;
  /**
   * Gradient of the last forward's input; adds parameter gradients to `gradients` (same offsets as `state`).
   * Needs `gradients: true` and one forward before each backward.
   */
  backward(gradOutput: Float32Array, state: Float32Array, gradients: Float32Array, output?: Float32Array): Float32Array;
}

/** Part of the state, in floats. */
export interface StateRange {
  readonly offset: StateOffset;
  readonly length: number;
}

/** The paper's customL2 (Alg. 1) on one RepVGG block: tensors of its 3x3 and 1x1 branches and their batch norms. */
export interface CustomL2Block {
  readonly outChannels: number;
  /** Input channels per group. */
  readonly depth: number;
  readonly eps: number;
  readonly weight3x3: StateOffset;
  readonly gamma3x3: StateOffset;
  readonly var3x3: StateOffset;
  readonly weight1x1: StateOffset;
  readonly gamma1x1: StateOffset;
  readonly var1x1: StateOffset;
}

/** A network trained by cross-entropy: its output must be [n, classes, 1, 1]. */
export interface TrainerSpec extends Omit<ProgramSpec, 'training' | 'gradients'> {
  readonly optimizer: 'sgd' | 'adamw';
  /** SGD: PyTorch's momentum (dampening 0). AdamW: beta1. */
  readonly momentum: number;
  readonly nesterov: boolean;
  /** AdamW. */
  readonly beta2: number;
  readonly epsilon: number;
  readonly labelSmoothing: number;
  /** Upper limit of the L2 norm of all gradients together; 0: none. */
  readonly clipNorm: number;
  /** The trained parts of the state. */
  readonly parameters: readonly StateRange[];
  /** The parts with weight decay: SGD adds decay * w to the gradient, AdamW subtracts lr * decay * w. */
  readonly decayed: readonly StateRange[];
  /** Blocks whose customL2, times decay / 2, is added to the loss. */
  readonly customL2: readonly CustomL2Block[];
  /** The value of a byte in channel c is byte * byteScale[c] + byteShift[c]. */
  readonly byteScale?: Float32Array;
  readonly byteShift?: Float32Array;
}

export interface StepResult {
  /** Mean cross-entropy of the batch, label smoothing included, customL2 not. */
  readonly loss: number;
  /** How many images have the largest logit for their label. */
  readonly correct: number;
}

/** Owns a copy of the state and the optimiser's memory; one step is one call off the JavaScript thread. */
export interface Trainer {
  /** Length of the optimiser's memory in floats: momentum (SGD), or both moments (AdamW). */
  readonly optimizerLength: number;
  readonly memoryBytes: number;
  /**
   * One training step on images Float32Array [n, c, h, w] or Uint8Array [n, h, w, c]. `augment`, Int16Array [n, 3], is
   * (shift down, shift right, mirror 0 or 1) per image: pixels that come from outside are black, byte 0; in floats they are 0.
   * A loss that is not finite rejects with ERR_NON_FINITE and leaves state and optimiser as they were.
   */
  step(
    images: Float32Array | Uint8Array,
    labels: Int32Array,
    augment: Int16Array | undefined,
    learningRate: number,
    weightDecay: number,
  ): Promise<StepResult>;
  /** Steps taken, which AdamW counts. */
  stepCount: number;
  readState(into: Float32Array): void;
  writeState(from: Float32Array): void;
  readOptimizer(into: Float32Array): void;
  writeOptimizer(from: Float32Array): void;
}

/** Elements of a value of a graph; a bool is a byte, 0 or 1. */
export type Dtype = 'float32' | 'uint8' | 'int8' | 'int32' | 'int64' | 'bool';
export type GraphArray = Float32Array | Uint8Array | Int8Array | Int32Array | BigInt64Array;

export interface TensorType {
  readonly type: Dtype;
  readonly dims: readonly number[];
}

/** Values are numbered: inputs, then constants, then the outputs of the nodes in order. -1 is an absent operand. */
export type GraphValue = number;

/**
 * The files in native/program/ops/ say which operands and attributes each op has.
 *
 * Integers. A value of integers is `uint8` with 4 dims. Only `quantize`, `integerMap` and ops on integers make it, and ops on integers
 * and `dequantize` read it. An integer q represents (q - zeroPoint) * scale, as the attributes of the node that writes it say. Readers
 * repeat these attributes; a difference is ERR_QUANT_PARAM. Scales are positive normal float32 values, zero points whole numbers from
 * 0 to 255. Ops that move elements of any type take a value of integers as plain bytes; their output is no value of integers.
 * - `quantize` [x]: outputScale, outputZeroPoint. `dequantize` [x]: inputScale, inputZeroPoint.
 * - `integerMap` [x uint8 or int8]: outputScale, outputZeroPoint; takes plain bytes as integers. Signed ones are raised by 128.
 * - `quantizedConv` [x, weight int8, bias int32, weightScale float32, table?]: all are constant except x; kernel, strides, pads,
 *   dilations, group as in `conv`; inputScale, inputZeroPoint; outputScale, outputZeroPoint, or neither for an output of floats;
 *   activation relu or none. Sums are exact, and bits are those of onnxruntime's QLinearConv. ERR_QUANT_PARAM if a sum could
 *   exceed 32 bits. In one group, x may be an image of floats with at most four channels, which the op quantises itself. table,
 *   uint8 [256], is applied to the output; tableScale and tableZeroPoint are those of its entries.
 * - `quantizedConvTranspose`: the same operands and attributes, with the weight of `convTranspose`, and outputPadding.
 * - `quantizedTable` [x, table uint8 [256]]: inputScale, inputZeroPoint, outputScale, outputZeroPoint; y = table[x].
 * - `quantizedBinary` [a, b, table?]: kind add, mul or sub; aScale, aZeroPoint, bScale, bZeroPoint, outputScale, outputZeroPoint,
 *   and tableScale, tableZeroPoint if there is a table. a and b have the same dims, or one of them is [n or 1, c, 1, 1], or a
 *   constant of one number, [c, 1, 1] or [1, c, 1, 1]. Bits of add and mul are those of onnxruntime's QLinearAdd and QLinearMul on
 *   x86-64, bits of sub those of DequantizeLinear, Sub, QuantizeLinear.
 * - `quantizedGlobalAverage` [x]: inputScale, inputZeroPoint, outputScale, outputZeroPoint; bits of QLinearGlobalAveragePool.
 * - `quantizedAveragePool` [x]: the same, and the attributes of `averagePool`; bits of QLinearAveragePool.
 * - `maxPool`, `concat` and `split` along axis 1, `slice`, `pad` with value 0, and `resize` with mode nearest keep integers integers.
 *   Their output has the scale and zero point of the operand. Operands of concat must have the same ones.
 */
export interface GraphNode {
  readonly op: string;
  readonly name: string;
  readonly inputs: readonly GraphValue[];
  /** Compared with the types that the op computes itself. */
  readonly outputs: readonly TensorType[];
  /** The attribute `activation` names a function that is applied to the output; its parameters are `activation.alpha` and so on. */
  readonly attributes: Readonly<Record<string, number | boolean | string | readonly number[]>>;
}

export interface GraphConstant extends TensorType {
  /** Copied, unless it is taken. */
  readonly data: GraphArray;
  /** Of floats: what the numbers of each row are multiplied by, in double, before they are rounded. */
  readonly factors?: Float64Array;
  /** The buffer that it lies in is given away if it has 64 KiB or more: all arrays in it are empty at once. */
  readonly take?: boolean;
}

/** Packed weights of some convolutions of a graph. It keeps their arrays alive. */
export interface EarlyWeights {
  /** Nothing reads the arrays any more. If it rejects, the session packs all weights. */
  readonly done: Promise<void>;
}

export interface GraphSpec {
  readonly inputs: readonly TensorType[];
  readonly constants: readonly GraphConstant[];
  /** In the order in which they run. */
  readonly nodes: readonly GraphNode[];
  readonly outputs: readonly GraphValue[];
  /** Dims are those of one image, and a run takes any number of images. */
  readonly independent: boolean;
  /** At most how many images one thread takes through the graph together. @default 1 */
  readonly together?: number;
  readonly algorithm: 'auto' | 'gemm' | 'winograd';
  /** Upper limit of threads; 0: as many as `info().threads`. */
  readonly threads: number;
  /** Weights that `packEarly` packs. They are used where a node still has the same shapes, and a weight in the same memory. */
  readonly early?: EarlyWeights | undefined;
  /** The value of a byte of an image in channel c is byte * byteScale[c] + byteShift[c]. Without these, images are floats. */
  readonly byteScale?: Float32Array;
  readonly byteShift?: Float32Array;
}

/** A run, and its name for `Session.cancel`. */
export interface SessionRun {
  readonly promise: Promise<GraphArray[]>;
  readonly ticket: number;
}

/**
 * A graph with packed weights. After `dispose`, all methods except `dispose`, `cancel` and `computeTime` throw ERR_DISPOSED.
 *
 * A run gets `dims`, those of the inputs of one image, if they differ from those that the session was made for; ERR_SHAPE if an op
 * can only be used for the latter. `count` is 1 unless the graph is `independent`; inputs and outputs of that many images follow
 * one another in memory. Runs that wait together and have the same dims run together.
 */
export interface Session {
  /** Dims of the outputs for one image. */
  outputDims(dims?: readonly (readonly number[])[]): number[][];
  /** Whether the first input may be bytes [count, h, w, c] instead of floats [count, c, h, w]. */
  takesBytes(): boolean;
  memoryBytes(): number;
  /** Milliseconds that settled runs have computed. */
  computeTime(): number;
  /** Runs off the JavaScript thread; inputs are copied before it returns. */
  run(inputs: readonly GraphArray[], count: number, dims?: readonly (readonly number[])[]): SessionRun;
  /** While the caller waits. */
  runSync(inputs: readonly GraphArray[], count: number, dims?: readonly (readonly number[])[]): GraphArray[];
  /** Rejects the promise of a run with ERR_ABORTED, unless it is settled. */
  cancel(ticket: number): void;
  /** Frees the memory once pending runs have finished. */
  dispose(): void;
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

export interface NativeInfo {
  /** Version the addon was built for; equals package.json's. */
  readonly version: string;
  /** Instruction set in use. */
  readonly isa: string;
  /** Instruction sets that both this build and this CPU have, slowest first. */
  readonly isas: string[];
  /** How many threads a program may use. */
  readonly threads: number;
  /** Where that number came from. */
  readonly threadsFrom: 'QAREPVGG_NUM_THREADS' | 'affinity' | 'cgroup quota';
  /**
   * Threads that shared the last work which was worth sharing; 1 before there was any. Fewer than `threads` where other programs
   * want the processors: threads that are no help stay away for a while.
   */
  readonly teamSize: number;
}

/** An image of bytes [height, width, channels] scaled, and placed on a canvas with its upper left corner at (top, left). */
export interface ImageTransform {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly scaledHeight: number;
  readonly scaledWidth: number;
  /** Scales to the same bytes as Pillow. */
  readonly filter: 'nearest' | 'bilinear' | 'bicubic';
  readonly canvasHeight: number;
  readonly canvasWidth: number;
  /** May lie outside of the canvas, which then shows a part of the image. */
  readonly top: number;
  readonly left: number;
  /** A byte for pixels of the canvas that the image does not cover. */
  readonly fill: number;
  /** Bytes [h, w, c], floats [c, h, w] or floats [h, w, c]. */
  readonly layout: 'bytes' | 'planes' | 'pixels';
  /** [channels, 256]: the number for each byte, if the layout is one of floats. */
  readonly table?: Float32Array;
}

export interface Addon {
  setErrorClass(errorClass: new (code: string, message: string) => Error): void;
  /** Throws ERR_ISA if QAREPVGG_ISA names an unknown or unsupported instruction set. */
  info(): NativeInfo;
  /**
   * Operations per second, two per multiply-add, of a loop in registers on so many threads together: the peak to measure
   * kernels against. INT8: the products of bytes that direct convolution is made of.
   */
  peakRate(precision: 'float32' | 'int8', threads: number): number;
  /**
   * Asks for huge pages in a large buffer that nothing has touched yet; systems may ignore it. Returns where the first one begins; 0
   * for small buffers.
   */
  adviseHugePages(buffer: ArrayBuffer): number;
  /** Frees the memory of a buffer at once; the buffer is then empty. */
  releaseMemory(buffer: ArrayBuffer): void;
  /**
   * Moves floats in a buffer to the last place before theirs that is aligned, off the JavaScript thread. Nothing else may use them, or
   * the bytes between, until the promise resolves to the numbers of the tensors that are not finite.
   *
   * @param places Of each tensor: the place of its first byte, and how many floats it has.
   */
  settleFloats(buffer: ArrayBuffer, places: Float64Array): Promise<readonly number[]>;
  /** Runs off the JavaScript thread; the image is copied before it returns. */
  transformImage(image: Uint8Array, transform: ImageTransform): Promise<Uint8Array | Float32Array>;
  Program: new (spec: ProgramSpec) => Program;
  Trainer: new (spec: TrainerSpec, state: Float32Array) => Trainer;
  /**
   * Packs the weights of convolutions off the JavaScript thread, before the graph around them is known. Nothing may change the
   * constants before `createSession` has taken them, or free them before `done`.
   */
  packEarly(convolutions: GraphSpec): EarlyWeights;
  /** Packs the weights and plans memory off the JavaScript thread. */
  createSession(spec: GraphSpec): Promise<Session>;
  /** While the caller waits. */
  createSessionSync(spec: GraphSpec): Session;
  /**
   * Folds branches and batch norms into one 3x3 convolution; computed in double, rounded once. Writes weight
   * [outChannels, inChannels / groups, 3, 3] and bias [outChannels]; they are undefined when it throws ERR_NON_FINITE.
   */
  fuse(spec: FuseSpec, weight: Float32Array, bias: Float32Array): void;
  /** The smallest and the largest of one or more values; both are NaN if any value is not finite. */
  extent(values: Float32Array): [low: number, high: number];
  /**
   * Adds finite values to bins: by |value| * scale, rounded down, those from zero on in the first half of `counts`, those below
   * in the second. The last bin takes what lies beyond it.
   */
  countValues(values: Float32Array, counts: Float64Array, scale: number): void;
}
