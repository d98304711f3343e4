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

void add_maps(const FeatureMap* const* operands, std::size_t count, const Clamp* clamp, const FeatureMap& out,
              const KernelTable& kernels, int threads) {
  for_each_chunk(out, threads, [&](const RowChunks& chunks, std::size_t chunk) {
    Rows rows[kMaxSummands];
    for (std::size_t i = 0; i < count; ++i) rows[i] = chunks.rows(*operands[i], chunk);
    kernels.add(chunks.region(chunk), rows, count, clamp, chunks.mutable_rows(out, chunk));
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

std::size_t sum_workspace_floats(const MapShape& shape) { return checked_mul(RowChunks(shape).count(), shape.pixel()); }

double dot_maps(const FeatureMap& a, const FeatureMap& b, float* workspace, const KernelTable& kernels, int threads) {
  const std::size_t pixel = a.shape.pixel();
  for_each_chunk(a, threads, [&](const RowChunks& chunks, std::size_t chunk) {
    kernels.dots(chunks.region(chunk), chunks.rows(a, chunk), chunks.rows(b, chunk), workspace + chunk * pixel);
  });
  double total = 0;
  for (std::size_t chunk = 0; chunk < RowChunks(a.shape).count(); ++chunk)
    for (std::size_t c = 0; c < a.shape.c; ++c) total += static_cast<double>(workspace[chunk * pixel + c]);
  return total;
}

void add_channel_sums(const FeatureMap& x, float* workspace, float* sums, const KernelTable& kernels, int threads) {
  const std::size_t pixel = x.shape.pixel();
  for_each_chunk(x, threads, [&](const RowChunks& chunks, std::size_t chunk) {
    kernels.sums(chunks.region(chunk), chunks.rows(x, chunk), workspace + chunk * pixel);
  });
  for (std::size_t c = 0; c < x.shape.c; ++c) {
    double sum = 0;
    for (std::size_t chunk = 0; chunk < RowChunks(x.shape).count(); ++chunk)
      sum += static_cast<double>(workspace[chunk * pixel + c]);
    sums[c] += static_cast<float>(sum);
  }
}

}  // namespace qarepvgg
