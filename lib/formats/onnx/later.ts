/** What only files in the form of ONNX need. */

export { importModel, serializeOnnx } from './document';
export { packModel, unpackModel } from './packed';
