/** What `qarepvgg` prints without a command: the three things that people want first. */
export function welcome(version: string): string {
  return `qarepvgg ${version}: run, quantise, serve and train convolutional networks.

  Run a model     qarepvgg run cats.onnx cat.jpg
  Serve a model   qarepvgg serve --model cats=cats.onnx
  Make it INT8    qarepvgg quantize cats.safetensors int8.onnx --data photos

No model at hand? qarepvgg demo classifies a thousand images.

qarepvgg --help lists all commands, and qarepvgg <command> --help explains one.
`;
}
