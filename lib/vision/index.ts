/** From photographs to answers: `import { Classifier, Detector } from 'qarepvgg/vision'`. */

export {
  type ImageTransform,
  type ReadImageOptions,
  type ResizeFilter,
  readImage,
  type Sides,
  transformImage,
} from '../index';
export { type Classification, Classifier, type ClassifierOptions } from './classifier';
export {
  type CocoAnnotation,
  type CocoBox,
  type CocoCategory,
  type CocoDataset,
  type CocoDetection,
  type CocoImage,
  readCoco,
  readCocoDetections,
} from './coco';
export { cocoLabels } from './coco-labels';
export { type CropOptions, centerCrop } from './crop';
export type { DecoderName } from './decoders';
export { type Detection, Detector, type DetectorOptions } from './detector';
export { type CocoFigures, type DetectionEvaluation, evaluateDetections } from './evaluate-detections';
export type { ImageSource } from './image-input';
export { imageNetLabels } from './imagenet-labels';
export { readLabels } from './labels';
export { type Letterboxed, type LetterboxOptions, letterbox, type Placement } from './letterbox';
export { type Boxes, nonMaxSuppression, type SuppressionOptions } from './nms';
export type { VisionRunOptions } from './recognizer';
export { type ResizeOptions, resize } from './resize';
