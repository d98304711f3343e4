/** The public surface of `qarepvgg`. */

export { type ErrorCode, QARepVGGError } from './errors';
export { Dataset, type DatasetPart, type DatasetSource } from './formats/dataset';
export { fashionMnistClasses, loadFashionMnist } from './formats/fashion-mnist';
export { loadIdx } from './formats/idx';
export { loadModel, saveModel } from './formats/model-files';
export { exportOnnx, importOnnx } from './formats/onnx';
export type { FileSource } from './formats/sources';
export { type LoadStateDictFileOptions, loadStateDict, saveStateDict } from './formats/state-files';
export type { DataType, Dim, TensorData, Value } from './graph/graph';
export type { InputSize, Size } from './image-size';
export { info, type NativeInfo } from './info';
export { type InputShapes, Model, type ModelSummary, type ModelTraits, type NodeSummary } from './model/model';
export type {
  FloatAverage,
  FloatConv,
  FloatSqueezeExcite,
  IntegerAverage,
  IntegerConv,
  QuantizationParameters,
  QuantizedLayer,
} from './model/quantized-layers';
export {
  type QuantizationRecipe,
  type QuantizedLayerSummary,
  QuantizedModel,
  type QuantizedSummary,
} from './model/quantized-model';
export { QARepVGGBlock, type RepBlock, RepVGGBlock } from './nn/blocks/block';
export { Conv2d, type Conv2dOptions } from './nn/blocks/conv2d';
export type { BlockOptions, CheckedBlockOptions } from './nn/blocks/options';
export type { SqueezeExciteTensors } from './nn/blocks/squeeze-excite';
export type { Form } from './nn/blocks/structure';
export type { Variant } from './nn/blocks/variants';
export type { BackwardOptions, ForwardOptions, LoadStateDictOptions, Module, StateDictOptions } from './nn/module';
export type { ArchitectureName } from './nn/networks/architectures';
export type { StepTensor } from './nn/networks/chain';
export { createModel, type Network } from './nn/networks/network';
export type { CheckedNetworkOptions, NetworkOptions } from './nn/networks/network-options';
export type { LayerSummary, NetworkSummary } from './nn/networks/summary';
export type { RepModule, SwitchToDeployOptions } from './nn/rep-module';
export type { Layout } from './nn/state/layouts';
export type { LoadResult } from './nn/state/load';
export type { Parameter, StateDict } from './nn/state/state';
export type { Preprocessing } from './preprocessing';
export { quantize, renderReport, sensitivity } from './quant';
export type { Calibration, CalibrationBatch, CalibrationStream } from './quant/calibration';
export type { Bins } from './quant/histogram';
export type { Bits, QuantizationProgress, QuantizeOptions } from './quant/options';
export type { ModelQuantization, Quantization } from './quant/quantize';
export type {
  AccuracyReport,
  ActivationReport,
  FloatAdvice,
  LayerReport,
  OutputReport,
  QuantizationReport,
  WeightReport,
} from './quant/report';
export type { LayerSensitivity, SensitivityOptions } from './quant/sensitivity';
/** @internal */
export { releaseMemory } from './release-memory';
export type { Feeds, Fetches, GraphInput, GraphOutput } from './runtime/feeds';
export type { ByteImages, Images } from './runtime/images';
export type { ValueMetadata } from './runtime/metadata';
export type { Algorithm, SessionOptions } from './runtime/options';
export { InferenceSession, type RunOptions } from './runtime/session';
export type { SessionStats } from './runtime/stats';
export { type RandnOptions, randn, type Tensor, type TensorLike, tensor } from './tensor';
export { type EvaluateOptions, type Evaluation, evaluate, type ImageScorer } from './train/evaluate';
export type { EpochProgress, FitResult, ProgressEvent, StepProgress } from './train/fit';
export type { FitOptions } from './train/fit-options';
export type { TrainerOptions } from './train/options';
export { type StepReport, Trainer } from './train/trainer';
export {
  type Difference,
  type EquivalenceReport,
  type VerifyOptions,
  verifyEquivalence,
  verifyEquivalence as verify,
} from './verify';
export type { ModelVerifyOptions } from './verify-models';
export { type ImageFolderOptions, loadImageFolder } from './vision/image-folder';
export { type ReadImageOptions, readImage } from './vision/read-image';
export {
  type FloatLayout,
  type ImageTransform,
  type ResizeFilter,
  type Sides,
  transformImage,
} from './vision/transform';
