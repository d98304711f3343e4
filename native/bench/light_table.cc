// Layers with little arithmetic for the memory that they read and write: depthwise, pointwise and transposed
// convolutions. Prints the share of the least possible time, which is the longer one of two: all multiplications at the
// FMA peak, or reading the input and writing the output once at the speed of a copy of as many bytes in the same run.
#include <cmath>
#include <cstdio>
#include <cstring>

#include "bench/light_layers.h"
#include "ops/convolution.h"
#include "ops/depthwise.h"
#include "reference/convolution.h"

namespace qarepvgg {
namespace {

struct Map {
  AlignedBuffer memory;
  FeatureMap map;

  explicit Map(const MapShape& shape) : memory(shape.floats()), map{memory.data(), shape} {}
};

class LightBench {
 public:
  LightBench(const LightLayer& layer, const KernelTable& kernels, int threads)
      : layer_(layer),
        kernels_(kernels),
        threads_(threads),
        side_{layer.kernel, layer.stride, layer.padding(), layer.padding(), 1},
        in_({1, layer.in_c, layer.size, layer.size, layer.padding()}),
        out_({1, layer.out_c, layer.out_size(), layer.out_size()}),
        depthwise_({side_, side_}, layer.in_c, kernels),
        taps_(layer.kind == LightKind::kTransposed
                  ? FloatConvolution::transposed(in_.map.shape, out_.map.shape, 1, {side_, side_}, kernels)
                  : FloatConvolution::forward(in_.map.shape, layer.out_c, 1, {side_, side_}, kernels)) {
    taps_.share(taps_.panels(), static_cast<std::size_t>(threads));
    Noise noise;
    x_ = noise.fill(in_.map.shape.elements());
    weight_ = noise.fill(layer.in_c * (is_depthwise() ? 1 : layer.out_c) * layer.kernel * layer.kernel);
    import_nchw(x_.data(), in_.map, {}, kernels, 1);
    const std::vector<float> bias(layer.out_c, 0.0f);
    packed_ = AlignedBuffer(is_depthwise() ? depthwise_.weight_floats() : taps_.weight_bytes() / sizeof(float));
    bias_ = AlignedBuffer(is_depthwise() ? depthwise_.bias_floats() : taps_.panels().padded());
    if (is_depthwise())
      depthwise_.pack_weights(weight_.data(), packed_.data());
    else if (layer.kind == LightKind::kTransposed)
      taps_.pack_transposed_weights(weight_.data(), packed_.data(), 1);
    else
      taps_.pack_weights(weight_.data(), packed_.data(), 1);
  }

  double flops() const {
    const std::size_t pixels = layer_.kind == LightKind::kTransposed ? layer_.size * layer_.size : out_pixels();
    return 2.0 * static_cast<double>(pixels * weight_.size());
  }
  // Bytes of the maps, without halos, and of the weights.
  double bytes() const {
    const std::size_t in = layer_.size * layer_.size * in_.map.shape.pixel();
    return static_cast<double>((in + out_pixels() * out_.map.shape.pixel() + weight_.size()) * sizeof(float));
  }

  void run() {
    if (!is_depthwise())
      return taps_.run(in_.map, packed_.data(), {bias_.data(), {false, &kReluClamp}}, out_.map, threads_);
    parallel_ranges(threads_, out_.map.shape.h, kPiecesPerThread * static_cast<std::size_t>(threads_),
                    [&](std::size_t first, std::size_t end) {
                      depthwise_.run_rows(in_.map, packed_.data(), bias_.data(), out_.map, {false, &kReluClamp}, first,
                                          end);
                    });
  }

  // Relative L2 distance from the double-precision oracle.
  double error() {
    const MapShape &in = in_.map.shape, &out = out_.map.shape;
    const reference::Tensor x{{1, in.c, in.h, in.w}, {x_.begin(), x_.end()}};
    const reference::Convolution conv{layer_.kind == LightKind::kTransposed ? in.c : out.c,
                                      layer_.kernel,
                                      layer_.stride,
                                      layer_.padding(),
                                      1,
                                      is_depthwise() ? in.c : 1};
    const reference::Values weight{weight_.begin(), weight_.end()};
    const reference::Tensor want = layer_.kind == LightKind::kTransposed
                                       ? reference::convolution_data_gradient(x, weight, conv, {1, out.c, out.h, out.w})
                                       : reference::convolve(x, weight, {}, conv);
    std::vector<float> got(want.data.size());
    run();
    export_nchw(out_.map, got.data(), kernels_, 1);
    double difference = 0, norm = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      const double value = std::fmax(want.data[i], 0.0);
      difference += std::pow(static_cast<double>(got[i]) - value, 2);
      norm += std::pow(value, 2);
    }
    return std::sqrt(difference / norm);
  }

 private:
  bool is_depthwise() const { return layer_.kind == LightKind::kDepthwise; }
  std::size_t out_pixels() const { return out_.map.shape.h * out_.map.shape.w; }

  const LightLayer& layer_;
  const KernelTable& kernels_;
  int threads_;
  Side side_;
  Map in_, out_;
  DepthwiseConvolution depthwise_;
  FloatConvolution taps_;
  std::vector<float> x_, weight_;
  AlignedBuffer packed_, bias_;
};

}  // namespace

bool run_light_table(const KernelTable& kernels, int threads, const Options& options) {
  std::printf("\n%s, %d thread%s, batch 1: layers with little arithmetic\n%-30s%12s%10s%20s\n", kernels.isa, threads,
              threads == 1 ? "" : "s", "", "GFLOP/s", "GB/s", "share of the limit");
  bool correct = true;
  for (const LightLayer& spec : kLightLayers) {
    LightBench layer(spec, kernels, threads);
    const double error = layer.error();
    correct = correct && error < 1e-5;
    const Result result = measure(layer.flops(), [&] { layer.run(); }, kernels.fma_peak, threads, options);
    const double seconds = layer.flops() / result.speed;
    const double copying = layer.bytes() / copy_speed(layer.bytes(), threads, options);
    const bool computes = layer.flops() / result.peak > copying;
    std::printf("%-30s%12.1f%10.1f%12.1f %% %s%s\n", spec.name, result.speed / 1e9, layer.bytes() / seconds / 1e9,
                100 * std::fmax(layer.flops() / result.peak, copying) / seconds, computes ? "FMA" : "memory",
                error < 1e-5 ? "" : "   WRONG");
    std::fflush(stdout);
  }
  return correct;
}

}  // namespace qarepvgg
