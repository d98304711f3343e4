// Convolution of integers, direct and by Winograd's algorithm, and the whole network: GOP/s (multiplications and
// additions of the direct form) and share of the peak of the direct form's instructions. Every convolution is first
// checked against the reference.
#include <atomic>
#include <cstdio>
#include <memory>

#include "base/parallel.h"
#include "bench/bench.h"
#include "ops/convolution.h"
#include "ops/winograd.h"
#include "reference/quantized.h"
#include "test/chain_program.h"

namespace qarepvgg {
namespace {

using test::Chain;
using test::InferenceProgram;

constexpr double kScale = 0.02;

Quantization quantization(double scale) { return Quantization(scale, 0, "benchmark"); }

std::shared_ptr<const QuantizedWeights> random_weights(const ConvShape& shape, Noise& noise) {
  return std::make_shared<QuantizedWeights>(QuantizedWeights{noise.fill_bytes<std::int8_t>(shape.weight_elements()),
                                                             std::vector<std::int32_t>(shape.out_c),
                                                             std::vector<float>(shape.out_c, 1e-4f)});
}

class IntegerLayerBench {
 public:
  IntegerLayerBench(const Layer& layer, const IntegerKernels& kernels, int threads)
      : shape_{1, layer.in_c, layer.in_size, layer.in_size, layer.out_c, 3, layer.stride, 1, 1, 1},
        threads_(threads),
        direct_(IntegerConvolution::forward(shape_, kernels)),
        element_(static_cast<std::size_t>(kernels.element_bytes)),
        in_shape_{1, shape_.in_c, shape_.in_h, shape_.in_w, 1},
        out_shape_{1, shape_.out_c, shape_.out_h(), shape_.out_w(), 0},
        in_memory_(in_shape_.floats()),
        out_memory_(out_shape_.floats()),
        sums_(quantization(kScale), quantization(kScale), Activation::relu()) {
    Noise noise;
    weights_ = random_weights(shape_, noise);
    x_.dims = {1, shape_.in_c, shape_.in_h, shape_.in_w};
    for (std::uint8_t value : noise.fill_bytes<std::uint8_t>(in_shape_.elements())) x_.data.push_back(value);
    const ByteMap in = in_map();
    reference::for_each_element(x_.dims, [&](auto n, auto c, auto y, auto x) {
      fill_elements(in.at(n, static_cast<std::ptrdiff_t>(y), static_cast<std::ptrdiff_t>(x)) + c * element_, 1,
                    element_, static_cast<std::uint8_t>(x_.at(n, c, y, x)));
    });
    direct_packed_ = pack(direct_);
    if (!IntegerWinograd::supports(shape_) || !is_exact_winograd(shape_, weights_->weight.data())) return;
    const auto members = static_cast<std::size_t>(threads);
    winograd_ = std::make_unique<IntegerWinograd>(shape_, IntegerWinograd::choose(shape_, kernels), members, kernels);
    winograd_packed_ = pack(*winograd_);
    scratch_ = AlignedBuffer(members * scratch_floats());
  }

  double operations() const { return 2 * shape_.macs(); }
  bool has_winograd() const { return winograd_ != nullptr; }

  bool correct() {
    const reference::Quantized q{static_cast<float>(kScale), 0};
    const reference::QuantizedConvolution op{
        {shape_.out_c, 3, shape_.stride, 1, 1, 1}, q, q, true, weights_->weight, weights_->bias, weights_->scale};
    const reference::Tensor expected = reference::quantized_convolve(x_, op);
    direct();
    bool same = holds(expected);
    if (winograd_) {
      winograd();
      same = same && holds(expected);
    }
    return same;
  }

  void direct() {
    const std::byte* weights = next(direct_packed_);
    const std::size_t items = direct_.items(), pieces = std::min(items, static_cast<std::size_t>(4 * threads_));
    parallel_pieces(threads_, pieces, [&](const Piece& piece) {
      direct_.run_items(in_map(), weights, &direct_packed_.sums, out_map(), even_tile(items, pieces, piece.index));
    });
  }
  void winograd() {
    const std::byte* weights = next(winograd_packed_);
    const std::size_t items = winograd_->items(), pieces = std::min(items, static_cast<std::size_t>(4 * threads_));
    parallel_pieces(threads_, pieces, [&](const Piece& piece) {
      auto* scratch = reinterpret_cast<std::byte*>(scratch_.data() + piece.member * scratch_floats());
      winograd_->run_items(in_map(), weights, winograd_packed_.sums, out_map(), scratch,
                           even_tile(items, pieces, piece.index), piece.first);
    });
  }

 private:
  // Several copies of the packed weights, then the constants of the lanes.
  struct Packed {
    AlignedBuffer memory;
    std::size_t bytes;  // of one copy
    SumStore sums;
  };

  template <class Plan>
  Packed pack(const Plan& plan) {
    const std::size_t lanes = plan.panels().padded(), bytes = round_up(plan.weight_bytes(), kAlignment);
    Packed packed{AlignedBuffer(kWeightSets * bytes / sizeof(float) + 2 * lanes), bytes, sums_};
    auto* memory = reinterpret_cast<std::byte*>(packed.memory.data());
    for (std::size_t set = 0; set < kWeightSets; ++set)
      plan.pack_weights(weights_->weight.data(), memory + set * bytes, 1);
    auto* start = reinterpret_cast<std::int32_t*>(memory + kWeightSets * bytes);
    packed.sums.pack(*weights_, 1, plan.panels(), plan.offset(), start, reinterpret_cast<float*>(start + lanes));
    return packed;
  }

  const std::byte* next(const Packed& packed) {
    set_ = (set_ + 1) % kWeightSets;
    return reinterpret_cast<const std::byte*>(packed.memory.data()) + set_ * packed.bytes;
  }

  ByteMap in_map() { return {reinterpret_cast<std::byte*>(in_memory_.data()), in_shape_, element_}; }
  ByteMap out_map() { return {reinterpret_cast<std::byte*>(out_memory_.data()), out_shape_, element_}; }
  std::size_t scratch_floats() const { return round_up(winograd_->scratch_bytes(), kAlignment) / sizeof(float); }

  bool holds(const reference::Tensor& expected) {
    const ByteMap out = out_map();
    bool same = true;
    reference::for_each_element(expected.dims, [&](auto n, auto c, auto y, auto x) {
      const std::byte* at = out.at(n, static_cast<std::ptrdiff_t>(y), static_cast<std::ptrdiff_t>(x)) + c * element_;
      same = same && static_cast<double>(*at) == expected.at(n, c, y, x);
    });
    return same;
  }

  ConvShape shape_;
  int threads_;
  IntegerConvolution direct_;
  std::unique_ptr<IntegerWinograd> winograd_;
  std::size_t element_, set_ = 0;
  MapShape in_shape_, out_shape_;
  AlignedBuffer in_memory_, out_memory_, scratch_;
  std::shared_ptr<const QuantizedWeights> weights_;
  reference::Tensor x_;
  SumStore sums_;
  Packed direct_packed_{{}, 0, sums_}, winograd_packed_{{}, 0, sums_};
};

// QARepVGG-A0 for 1000 classes.
struct Network {
  Chain chain{3, {224, 224}};
  double operations = 0;  // per image

  explicit Network(int threads) {
    chain.spec.together = 4;
    chain.spec.threads = threads;
    MapShape shape{1, 3, 224, 224};
    constexpr std::size_t kChannels[]{48, 48, 96, 192, 1280}, kDepths[]{1, 2, 4, 14, 1};
    for (std::size_t stage = 0; stage < 5; ++stage)
      for (std::size_t block = 0; block < kDepths[stage]; ++block)
        shape = add_conv(shape, kChannels[stage], 3, block == 0 ? 2 : 1, true);
    shape.h = shape.w = 1;
    Attributes attributes;
    for (const char* prefix : {"input", "output"}) test::set_quantization(attributes, prefix, quantization(kScale));
    chain.add("quantizedGlobalAverage", {}, {Dtype::kUint8, {1, shape.c, 1, 1}}, attributes);
    add_conv(shape, 1000, 1, 1, false);
  }

 private:
  MapShape add_conv(const MapShape& in, std::size_t channels, std::size_t kernel, std::size_t stride, bool integers) {
    const ConvShape conv{1, in.c, in.h, in.w, channels, kernel, stride, kernel / 2, 1, 1};
    const auto weights = random_weights(conv, noise_);
    operations += 2 * conv.macs();
    Attributes attributes = test::relu_if(true, test::window_attributes(conv.window()));
    test::set_quantization(attributes, "input", quantization(kScale));
    if (integers) test::set_quantization(attributes, "output", quantization(kScale));
    const ValueId weight = chain.constant(Dtype::kInt8, {channels, in.c, kernel, kernel}, weights->weight),
                  bias = chain.constant(Dtype::kInt32, {channels}, weights->bias),
                  scale = chain.constant(Dtype::kFloat32, {channels}, weights->scale);
    const Dims dims{1, channels, conv.out_h(), conv.out_w()};
    chain.add("quantizedConv", {weight, bias, scale}, {integers ? Dtype::kUint8 : Dtype::kFloat32, dims}, attributes);
    return conv.output();
  }

  Noise noise_;
};

Result measure_network(const Network& network, Algorithm algorithm, std::size_t batch, const KernelTable& kernels,
                       const Options& options) {
  InferenceProgram program(network.chain, algorithm);
  Noise noise;
  const std::vector<float> images = noise.fill(batch * 3 * 224 * 224);
  std::vector<float> logits(batch * 1000);
  std::vector<test::ImageTask> tasks(batch);
  for (std::size_t i = 0; i < batch; ++i) {
    tasks[i].input.floats = images.data() + i * 3 * 224 * 224;
    tasks[i].output = logits.data() + i * 1000;
  }
  const std::atomic<bool> stop{false};
  return measure(
      network.operations * static_cast<double>(batch), [&] { program.run({224, 224}, tasks.data(), batch, stop); },
      kernels.integer->dot_peak, network.chain.spec.threads, options);
}

void print(const Result& result) {
  std::printf("%13.1f (%5.1f %%)", result.speed / 1e9, 100 * result.speed / result.peak);
}

}  // namespace

bool run_integer_table(const KernelTable& kernels, int threads, const Options& options) {
  std::printf("\n%s, integers, %d thread%s, batch 1, weights rotated over %zu sets\n", kernels.isa, threads,
              threads == 1 ? "" : "s", kWeightSets);
  std::printf("%-28s%23s%23s\n", "GOP/s (share of peak)", "direct", "Winograd");
  std::vector<double> peaks;
  bool correct = true;
  const auto peak = kernels.integer->dot_peak;
  for (const Layer& spec : kLayers) {
    if (spec.in_c <= 4) continue;  // the stem reads images, so it is timed as a part of the network
    IntegerLayerBench layer(spec, *kernels.integer, threads);
    const bool right = layer.correct();
    correct = correct && right;
    std::printf("%-28s", spec.name);
    const Result direct = measure(layer.operations(), [&] { layer.direct(); }, peak, threads, options);
    print(direct);
    peaks.push_back(direct.peak);
    if (layer.has_winograd()) print(measure(layer.operations(), [&] { layer.winograd(); }, peak, threads, options));
    std::printf("%s\n", right ? "" : "   WRONG");
    std::fflush(stdout);
  }
  const Network network(threads);
  for (std::size_t batch : {1u, 8u}) {
    std::printf("whole network, batch %-7zu", batch);
    for (Algorithm algorithm : {Algorithm::kGemm, Algorithm::kAuto}) {
      const Result result = measure_network(network, algorithm, batch, kernels, options);
      print(result);
      std::printf(" %6.3f ms", 1e3 * network.operations / result.speed);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
  std::printf("%-28s%13.1f\n", "peak of this run", median(peaks) / 1e9);
  return correct;
}

}  // namespace qarepvgg
