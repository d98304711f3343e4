/** Domains of ONNX's own operators. */
export const ownDomains = ['', 'ai.onnx'];
