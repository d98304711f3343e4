import type { DataArray, Datatype } from '../serve/datatypes';

/** Elements of a tensor; strings or bytes for BYTES. */
export type RemoteData = DataArray | readonly (string | Uint8Array)[];

/** A tensor to send: as `session.run` takes it, or of any type that the protocol has. */
export interface RemoteInput {
  readonly data: RemoteData;
  readonly dims: readonly number[];
  /** Needed for BOOL (a Uint8Array), FP16 and BF16 (a Uint16Array of bits); otherwise it follows from `data`. */
  readonly type?: Datatype;
}

/** A tensor received. BYTES are Uint8Arrays. */
export interface RemoteTensor {
  readonly data: DataArray | Uint8Array[];
  readonly dims: number[];
  readonly type: Datatype;
}

/** Values of `parameters` in the protocol. */
export type Parameters = Readonly<Record<string, string | number | boolean>>;

/** What a model answers. */
export interface Inference {
  readonly model: string;
  readonly version?: string;
  readonly id?: string;
  readonly parameters?: Parameters;
  /** By name. */
  readonly outputs: Readonly<Record<string, RemoteTensor>>;
}

/** One class of a classification. */
export interface RankedClass {
  readonly index: number;
  readonly label?: string;
  /** As the model computed it. */
  readonly value: number;
  /** From 0 to 1; only where images were classified. */
  readonly probability?: number;
}

export interface ServerMetadata {
  readonly name: string;
  readonly version: string;
  readonly extensions: readonly string[];
}

export interface TensorMetadata {
  readonly name: string;
  readonly datatype: string;
  /** -1 where the size is open. */
  readonly shape: readonly number[];
}

export interface ModelMetadata {
  readonly name: string;
  readonly versions?: readonly string[];
  readonly platform: string;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
}

/** Count and total time of one phase of requests. */
export interface DurationStatistics {
  readonly count: number;
  readonly ns: number;
}

/** Of the protocol's statistics extension; servers may send more. */
export interface ModelStatistics {
  readonly name: string;
  readonly version: string;
  readonly last_inference: number;
  readonly inference_count: number;
  readonly execution_count: number;
  readonly inference_stats: Readonly<Record<string, DurationStatistics>>;
}

/** An entry of the model repository. */
export interface RepositoryEntry {
  readonly name: string;
  readonly version?: string;
  readonly state?: string;
  readonly reason?: string;
}
