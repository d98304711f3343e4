/**
 * What onnxruntime is fastest with.
 *
 * @param {number} threads @returns {import('onnxruntime-node').InferenceSession.SessionOptions}
 */
export function ortOptions(threads) {
  return {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    executionMode: 'sequential',
    enableCpuMemArena: true,
    enableMemPattern: true,
  };
}
