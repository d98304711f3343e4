#include "ops/elementwise.h"

#include "base/parallel.h"

namespace qarepvgg {
namespace {

template <class Visit>
void for_each_chunk(const FeatureMap& map, int threads, const Visit& visit) {
  const RowChunks chunks(map.shape);
  parallel_for(threads, chunks.count(), [&](std::size_t chunk) { visit(chunks, chunk); });
}

}  // namespace

void add_maps(const FeatureMap* const* operands, std::size_t count, bool relu, const FeatureMap& out,
              const KernelTable& kernels, int threads) {
  for_each_chunk(out, threads, [&](const RowChunks& chunks, std::size_t chunk) {
    Rows rows[kMaxSummands];
    for (std::size_t i = 0; i < count; ++i) rows[i] = chunks.rows(*operands[i], chunk);
    kernels.add(chunks.region(chunk), rows, count, relu, chunks.mutable_rows(out, chunk));
  });
}

void scale_map(const FeatureMap& x, float factor, bool accumulate, const FeatureMap& out, const KernelTable& kernels,
               int threads) {
  for_each_chunk(out, threads, [&](const RowChunks& chunks, std::size_t chunk) {
    kernels.scale(chunks.region(chunk), chunks.rows(x, chunk), factor, accumulate, chunks.mutable_rows(out, chunk));
  });
}

void relu_backward(const FeatureMap& grad, const FeatureMap& y, bool accumulate, const FeatureMap& grad_x,
                   const KernelTable& kernels, int threads) {
  for_each_chunk(grad_x, threads, [&](const RowChunks& chunks, std::size_t chunk) {
    kernels.relu_backward(chunks.region(chunk), chunks.rows(grad, chunk), chunks.rows(y, chunk), accumulate,
                          chunks.mutable_rows(grad_x, chunk));
  });
}

void average3x3(const FeatureMap& x, bool accumulate, const FeatureMap& out, const KernelTable& kernels, int threads) {
  for_each_chunk(out, threads, [&](const RowChunks& chunks, std::size_t chunk) {
    kernels.average3x3(chunks.region(chunk), chunks.rows(x, chunk), accumulate, chunks.mutable_rows(out, chunk));
  });
}

double dot_maps(const FeatureMap& a, const FeatureMap& b, double* workspace, const KernelTable& kernels,
                int threads) {
  const RowChunks chunks(a.shape);
  parallel_for(threads, chunks.count(), [&](std::size_t chunk) {
    workspace[chunk] = kernels.dot(chunks.region(chunk), chunks.rows(a, chunk), chunks.rows(b, chunk));
  });
  double total = 0;
  for (std::size_t chunk = 0; chunk < chunks.count(); ++chunk) total += workspace[chunk];
  return total;
}

}  // namespace qarepvgg
