/** A client of the Open Inference Protocol over HTTP, without the addon: `import { connect } from 'qarepvgg/client'`. */
export { connect, type InferenceClient } from './client';
export type { CallOptions, ClassifyOptions, ClientOptions, InferOptions, ModelOptions } from './options';
export type {
  DurationStatistics,
  Inference,
  ModelMetadata,
  ModelStatistics,
  Parameters,
  RankedClass,
  RemoteData,
  RemoteInput,
  RemoteTensor,
  RepositoryEntry,
  ServerMetadata,
  TensorMetadata,
} from './types';
