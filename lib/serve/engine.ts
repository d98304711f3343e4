import { InferenceSession, info, type Preprocessing } from '../index';
import type { GraphOutput } from '../runtime/feeds';
import type { ValueMetadata } from '../runtime/metadata';
import type { SessionStats } from '../runtime/stats';
import { bytesOf, type Datatype, viewAs } from './datatypes';
import type { ModelSource, TensorMetadata, WireTensor } from './types';

/** Images as a model takes them. */
export interface ImageInput {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly preprocessing: Preprocessing;
}

/** A session, in the terms of the protocol. */
export interface Engine {
  readonly platform: string;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
  readonly labels: readonly string[] | undefined;
  /** Set where the only input is images, which may then also come as bytes [n, height, width, channels]. */
  readonly image: ImageInput | undefined;
  /** Whether requests can be joined along the first dim of every input and output. */
  readonly isBatched: boolean;
  /** Copies the inputs before it returns. */
  run(inputs: readonly WireTensor[], signal: AbortSignal): Promise<readonly WireTensor[]>;
  stats(): SessionStats;
  dispose(): void;
}

/** Names of the protocol for the types of sessions. */
const datatypes: Readonly<Record<string, Datatype>> = {
  float32: 'FP32',
  uint8: 'UINT8',
  int8: 'INT8',
  int32: 'INT32',
  int64: 'INT64',
  bool: 'BOOL',
};

/** The engine takes bytes of at most this many channels as images. */
const maxByteChannels = 4;

/** Opens a model that is to be served. @throws {QARepVGGError} as `InferenceSession.create` */
export async function openEngine(source: ModelSource, threads: number): Promise<Engine> {
  const session = await InferenceSession.create(source, { threads });
  const image = imageInput(session);
  const inputs = session.inputMetadata.map((value) => tensorMetadata(value, session.inputSize));
  const outputs = session.outputMetadata.map((value) => tensorMetadata(value));
  const run = session.run.bind(session) as unknown as Run;
  return {
    platform: `qarepvgg_${typeof source === 'string' && /\.onnx$/i.test(source) ? 'onnx' : 'safetensors'}`,
    inputs,
    outputs,
    labels: session.labels,
    image,
    isBatched: session.independent && [...inputs, ...outputs].every(({ shape }) => shape[0] === -1),
    async run(tensors, signal) {
      const feeds = tensors.map(({ name, datatype, shape, bytes }) => [
        name,
        { data: viewAs(datatype, bytes), dims: shape },
      ]);
      const results = await run(Object.fromEntries(feeds), { signal });
      return outputs.map(({ name, datatype }) => {
        const { type, data, dims } = results[name] as GraphOutput;
        // Files need not say what their outputs are.
        return { name, datatype: type ? (datatypes[type] as Datatype) : datatype, shape: dims, bytes: bytesOf(data) };
      });
    },
    stats: () => session.stats(),
    dispose: () => session.dispose(),
  };
}

/** Threads of a session whose options do not name any. */
export function defaultThreads(): number {
  return info().threads;
}

type Run = (
  feeds: Readonly<Record<string, unknown>>,
  options: { readonly signal: AbortSignal },
) => Promise<Readonly<Record<string, GraphOutput>>>;

function imageInput({ inputMetadata, inputSize, preprocessing }: InferenceSession): ImageInput | undefined {
  const [input, ...others] = inputMetadata;
  const channels = input?.shape[1];
  if (others.length > 0 || input?.shape.length !== 4 || typeof channels !== 'number') return undefined;
  if (channels > maxByteChannels) return undefined;
  if (!inputSize || !preprocessing) return undefined;
  const [height, width] = inputSize;
  return { height, width, channels, preprocessing };
}

/** Images are served at the size that the session has planned for; other open dims stay open. */
function tensorMetadata(
  { name, type, shape }: ValueMetadata,
  [height, width] = [-1, -1] as readonly [number, number],
): TensorMetadata {
  const sizes: Readonly<Record<string, number>> = { H: height, W: width };
  return {
    name,
    datatype: datatypes[type] as Datatype,
    shape: shape.map((dim) => (typeof dim === 'number' ? dim : (sizes[dim] ?? -1))),
  };
}
