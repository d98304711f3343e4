/** The public surface of `qarepvgg`. */

export { type ErrorCode, QARepVGGError } from './errors';
export { info, type NativeInfo } from './info';
export { QARepVGGBlock, type RepBlock, RepVGGBlock, type SwitchToDeployOptions } from './nn/block';
export { Conv2d, type Conv2dOptions } from './nn/conv2d';
export type { Layout } from './nn/layouts';
export type { LoadResult } from './nn/load';
export type { ForwardOptions, LoadStateDictOptions, Module, StateDictOptions } from './nn/module';
export type { BlockOptions, CheckedBlockOptions, Variant } from './nn/options';
export type { Parameter, StateDict } from './nn/state';
export type { Form } from './nn/structure';
export { type RandnOptions, randn, type Tensor, type TensorLike, tensor } from './tensor';
export { type Difference, type EquivalenceReport, type VerifyOptions, verifyEquivalence } from './verify';
