import type { InferenceSession, Preprocessing } from '../index';
import type { Cancellation } from './cancellation';
import type { Datatype } from './datatypes';

/** What a model is served from: whatever `InferenceSession.create` takes, a file or a model. */
export type ModelSource = Parameters<typeof InferenceSession.create>[0];

/** How one model is served; what is left out is as in {@link ServeOptions}. */
export interface ServedModelOptions {
  readonly model: ModelSource;
  readonly maxBatch?: number;
  readonly queueDelay?: number;
  readonly maxQueue?: number;
  readonly timeout?: number;
}

/** Options of {@link serve}. Times are in milliseconds, sizes in bytes. */
export interface ServeOptions {
  /** Models by name (letters, digits, `.`, `_` and `-`). @default the network that comes with the package */
  readonly models?: Readonly<Record<string, ModelSource | ServedModelOptions>>;
  /** A folder of `NAME.safetensors`, `NAME.onnx`, or `NAME/VERSION/model.safetensors` and `.onnx`, all of which are served. */
  readonly repository?: string;
  /** @default '127.0.0.1' */
  readonly host?: string;
  /** 0 picks a free one. @default 8080 */
  readonly port?: number;
  /** Serves gRPC too, on this port; 0 picks a free one. Needs `@grpc/grpc-js`. */
  readonly grpcPort?: number;
  /** Bearer token that every request but health probes must carry; without one nothing can be loaded or unloaded. */
  readonly token?: string;
  /** The most images that compute together. A request counts with its own images. @default 8 per thread */
  readonly maxBatch?: number;
  /** How long a request may wait for others to compute with. @default 0 */
  readonly queueDelay?: number;
  /** Requests of one model that may wait; more are refused with 503. @default 128 */
  readonly maxQueue?: number;
  /** Bytes of all requests that are being read or wait; more are refused with 503. @default 64 MiB */
  readonly maxQueueBytes?: number;
  /** A request that has no answer by then gets 504 and is not computed. @default 30000 */
  readonly timeout?: number;
  /** Largest body. @default 64 MiB */
  readonly maxBody?: number;
  /** Largest image, in pixels after decoding. @default 2 ** 25 */
  readonly maxPixels?: number;
  /** @default 1024 */
  readonly maxConnections?: number;
  /** Threads of each session. @default info().threads */
  readonly threads?: number;
  /** Replaces a model when its file is replaced. @default false */
  readonly watch?: boolean;
  /** How long `close` keeps serving while readiness is 503, for balancers to notice. @default 0 */
  readonly shutdownDelay?: number;
  /** How long `close` waits for answers before it closes their connections. @default 30000 */
  readonly shutdownTimeout?: number;
  /** Adds metrics under the names that Triton uses. @default false */
  readonly tritonMetrics?: boolean;
  /** @default 'warn' */
  readonly logLevel?: 'silent' | 'error' | 'warn' | 'info' | 'debug';
}

/** A server that listens; {@link serve} starts one. */
export interface Server {
  /** 'http://127.0.0.1:8080' */
  readonly url: string;
  readonly port: number;
  readonly grpcPort: number | undefined;
  /** Names of the models. */
  readonly modelNames: readonly string[];
  /** Loads every model from its file again; a file that cannot be served leaves the model as it was. */
  reload(): Promise<ReloadResult>;
  /**
   * Readiness turns 503, then no connection is accepted; resolves when all accepted requests are answered. May be called
   * again.
   */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What {@link Server.reload} did. */
export interface ReloadResult {
  readonly reloaded: readonly string[];
  readonly failed: readonly { readonly name: string; readonly message: string }[];
}

// From here on internal: what the HTTP and gRPC services call.

/** A tensor as it travels: raw bytes, little-endian and row-major, at any alignment. BYTES as in the binary extension. */
export interface WireTensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export interface TensorMetadata {
  readonly name: string;
  readonly datatype: Datatype;
  /** -1 for the batch and for other open dims. */
  readonly shape: readonly number[];
}

export interface ModelMetadata {
  readonly name: string;
  readonly versions: readonly string[];
  readonly platform: string;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
}

/** An output that is asked for; `classification` as that many 'value:index:label' instead of numbers. */
export interface RequestedOutput {
  readonly name: string;
  readonly classification?: number;
}

export interface InferRequest {
  readonly inputs: readonly WireTensor[];
  /** All outputs when absent. */
  readonly outputs?: readonly RequestedOutput[] | undefined;
  /** By `performance.now()`; never later than the model's own timeout. */
  readonly deadline?: number | undefined;
  readonly cancellation?: Cancellation | undefined;
}

export interface InferResponse {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly outputs: readonly WireTensor[];
}

/** One version of a model, ready to compute. */
export interface ModelEntry {
  readonly name: string;
  readonly version: string;
  readonly labels: readonly string[] | undefined;
  readonly preprocessing: Preprocessing | undefined;
  metadata(): ModelMetadata;
  /** @throws {QARepVGGError} (rejects) with a code of `status.ts`. */
  infer(request: InferRequest): Promise<InferResponse>;
}

/** The models of a server. */
export interface Models {
  /** All models are loaded, and the server is not closing. */
  readonly isReady: boolean;
  list(): readonly ModelEntry[];
  /** @throws {QARepVGGError} ERR_NOT_FOUND. Without a version, or with '': the highest. */
  get(name: string, version?: string): ModelEntry;
}
