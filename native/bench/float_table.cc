// Convolution, forward and both gradients, on floats: GFLOP/s and share of the FMA peak. The textbook convolution
// (explicit im2col, plain GEMM) has a column of its own. Every convolution is first checked against the
// double-precision oracle.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "bench/bench.h"
#include "ops/convolution.h"
#include "ops/weight_gradient.h"
#include "reference/convolution.h"
#include "reference/im2col_gemm.h"

namespace qarepvgg {
namespace {

constexpr std::size_t kBatch = 1;

struct Map {
  AlignedBuffer memory;
  FeatureMap map;

  explicit Map(const MapShape& shape) : memory(shape.floats()), map{memory.data(), shape} {}
};

double relative_l2(const std::vector<float>& got, const std::vector<double>& want) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    difference += std::pow(static_cast<double>(got[i]) - want[i], 2);
    norm += std::pow(want[i], 2);
  }
  return std::sqrt(difference / norm);
}

// One layer in all directions, with rotating weights.
class LayerBench {
 public:
  LayerBench(const Layer& layer, const KernelTable& kernels, int threads)
      : shape_{kBatch, layer.in_c, layer.in_size, layer.in_size, layer.out_c, 3, layer.stride, 1, 1, 1},
        kernels_(kernels),
        threads_(threads),
        forward_(FloatConvolution::forward(shape_, kernels)),
        data_gradient_(FloatConvolution::data_gradient(shape_, kernels)),
        weight_gradient_(shape_, kernels),
        in_({kBatch, shape_.in_c, shape_.in_h, shape_.in_w, 1}),
        out_({kBatch, shape_.out_c, shape_.out_h(), shape_.out_w(), 0}),
        grad_in_(in_.map.shape),
        grad_out_({kBatch, shape_.out_c, shape_.out_h(), shape_.out_w(), FloatConvolution::data_gradient_halo(shape_)}),
        forward_stride_(round_up(forward_.weight_bytes() / sizeof(float), kAlignedFloats)),
        gradient_stride_(round_up(data_gradient_.weight_bytes() / sizeof(float), kAlignedFloats)),
        forward_weights_(forward_stride_ * kWeightSets),
        gradient_weights_(gradient_stride_ * kWeightSets),
        bias_(forward_.panels().padded()),
        workspace_(weight_gradient_.workspace_floats()),
        grad_weight_(shape_.weight_elements()) {
    const auto members = static_cast<std::size_t>(threads);
    forward_.share(forward_.panels(), members);
    data_gradient_.share(data_gradient_.panels(), members);
    Noise noise;
    x_ = noise.fill(in_.map.shape.elements());
    weight_ = noise.fill(shape_.weight_elements());
    bias_source_ = noise.fill(shape_.out_c);
    import_nchw(x_.data(), in_.map, {}, kernels, 1);
    import_nchw(noise.fill(out_.map.shape.elements()).data(), grad_out_.map, {}, kernels, 1);
    forward_.panels().spread(bias_source_.data(), 1, bias_.data());
    for (std::size_t set = 0; set < kWeightSets; ++set) {
      forward_.pack_weights(weight_.data(), forward_weights_.data() + set * forward_stride_, 1);
      data_gradient_.pack_transposed_weights(weight_.data(), gradient_weights_.data() + set * gradient_stride_, 1);
    }
  }

  double flops() const { return 2 * shape_.macs(); }

  // Relative L2 distance from the oracle: the larger one of our forward pass and the textbook's.
  double error() {
    const reference::Tensor x{{shape_.n, shape_.in_c, shape_.in_h, shape_.in_w}, {x_.begin(), x_.end()}};
    const reference::Convolution conv{shape_.out_c,   shape_.kernel,   shape_.stride,
                                      shape_.padding, shape_.dilation, shape_.groups};
    reference::Values want =
        reference::convolve(x, {weight_.begin(), weight_.end()}, {bias_source_.begin(), bias_source_.end()}, conv).data;
    for (double& value : want) value = std::max(value, 0.0);
    std::vector<float> got(want.size());
    forward();
    export_nchw(out_.map, got.data(), kernels_, 1);
    textbook();
    return std::max(relative_l2(got, want), relative_l2(result_, want));
  }

  void forward() {
    forward_.run(in_.map, forward_weights_.data() + next_set() * forward_stride_, {bias_.data(), {false, &kReluClamp}},
                 out_.map, threads_);
  }
  void data_gradient() {
    data_gradient_.run(grad_out_.map, gradient_weights_.data() + next_set() * gradient_stride_, {}, grad_in_.map,
                       threads_);
  }
  void weight_gradient() {
    weight_gradient_.run(in_.map, grad_out_.map, workspace_.data(), grad_weight_.data(), threads_);
  }
  void textbook() {
    const reference::Im2colShape shape{shape_.n,      shape_.in_c,   shape_.in_h,    shape_.in_w,     shape_.out_c,
                                       shape_.kernel, shape_.stride, shape_.padding, shape_.dilation, shape_.groups};
    patches_.resize(shape.patch_floats());
    result_.resize(out_.map.shape.elements());
    reference::im2col_convolution(shape, x_.data(), weight_.data(), bias_source_.data(), true, result_.data(),
                                  patches_.data(), threads_);
  }

 private:
  std::size_t next_set() { return set_ = (set_ + 1) % kWeightSets; }

  ConvShape shape_;
  const KernelTable& kernels_;
  int threads_;
  FloatConvolution forward_, data_gradient_;
  WeightGradient weight_gradient_;
  Map in_, out_, grad_in_, grad_out_;
  std::size_t forward_stride_, gradient_stride_, set_ = 0;
  AlignedBuffer forward_weights_, gradient_weights_, bias_, workspace_;
  std::vector<float> grad_weight_, x_, weight_, bias_source_, patches_, result_;
};

struct Direction {
  const char* name;
  void (LayerBench::*run)();
};

constexpr Direction kDirections[] = {
    {"forward", &LayerBench::forward},
    {"data gradient", &LayerBench::data_gradient},
    {"weight gradient", &LayerBench::weight_gradient},
};

}  // namespace

bool run_float_table(const KernelTable& kernels, int threads, const Options& options) {
  std::printf("\n%s, %d thread%s, batch 1, weights rotated over %zu sets\n", kernels.isa, threads,
              threads == 1 ? "" : "s", kWeightSets);
  std::printf("%-28s", "GFLOP/s (share of FMA peak)");
  for (const Direction& direction : kDirections) std::printf("%22s", direction.name);
  std::printf("%18s\n", "textbook im2col");
  std::vector<double> all_peaks;
  bool correct = true;
  for (const Layer& spec : kLayers) {
    LayerBench layer(spec, kernels, threads);
    const double error = layer.error();
    correct = correct && error < 1e-5;
    std::printf("%-28s", spec.name);
    for (const Direction& direction : kDirections) {
      const Result result =
          measure(layer.flops(), [&] { (layer.*direction.run)(); }, kernels.fma_peak, threads, options);
      all_peaks.push_back(result.peak);
      std::printf("%13.1f (%4.1f %%)", result.speed / 1e9, 100 * result.speed / result.peak);
      std::fflush(stdout);
    }
    const Result textbook = measure(layer.flops(), [&] { layer.textbook(); }, kernels.fma_peak, threads, options);
    std::printf("%18.1f%s\n", textbook.speed / 1e9, error < 1e-5 ? "" : "   WRONG");
  }
  std::printf("%-28s%13.1f\n", "FMA peak of this run", median(all_peaks) / 1e9);
  return correct;
}

}  // namespace qarepvgg
