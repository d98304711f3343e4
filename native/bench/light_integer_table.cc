// The layers of light_table.cc in integers, with and without a table at the store, and elementwise ops: share of the
// least possible time. Like multiply-adds of floats, the instructions that add products ("dots") run in two pipes on
// the CPUs that we know, and so do the three that each vector of sums needs to become integers: to floats, times the
// scale, to whole numbers. So the limit of a layer with little arithmetic per output counts these, too.
#include <cmath>
#include <cstdio>
#include <functional>
#include <numeric>

#include "base/parallel.h"
#include "bench/light_layers.h"
#include "ops/convolution.h"
#include "ops/integer_depthwise.h"
#include "reference/quantized.h"

namespace qarepvgg {
namespace {

constexpr float kScale = 0.02f;
constexpr double kConversion = 3;  // instructions for a vector of sums, besides those that pack and store integers

Quantization quantization() { return Quantization(static_cast<double>(kScale), 0, "benchmark"); }

struct Bytes {
  AlignedBuffer memory;
  ByteMap map;

  Bytes(const MapShape& shape, std::size_t element)
      : memory(shape.floats() + kAlignedFloats), map(reinterpret_cast<std::byte*>(memory.data()), shape, element) {}
};

class LightIntegerBench {
 public:
  LightIntegerBench(const LightLayer& layer, const IntegerKernels& kernels, int threads)
      : layer_(layer),
        threads_(threads),
        side_{layer.kernel, layer.stride, layer.padding(), layer.padding(), 1},
        in_({1, layer.in_c, layer.size, layer.size, layer.padding()}, static_cast<std::size_t>(kernels.element_bytes)),
        out_({1, layer.out_c, layer.out_size(), layer.out_size()}, static_cast<std::size_t>(kernels.element_bytes)),
        depthwise_({side_, side_}, out_.map.shape, kernels),
        taps_(layer.kind == LightKind::kTransposed
                  ? IntegerConvolution::transposed(in_.map.shape, out_.map.shape, 1, {side_, side_}, kernels)
                  : IntegerConvolution::forward(in_.map.shape, layer.out_c, 1, {side_, side_}, kernels)),
        sums_(is_depthwise() ? 1 : taps_.classes(), SumStore(quantization(), quantization(), Activation::relu())) {
    Noise noise;
    taps_.share(taps_.panels(), static_cast<std::size_t>(threads));
    x_.dims = {1, layer.in_c, layer.size, layer.size};
    for (std::uint8_t value : noise.fill_bytes<std::uint8_t>(x_.dims.elements())) x_.data.push_back(value);
    reference::for_each_element(x_.dims, [&](auto n, auto c, auto y, auto x) {
      fill_elements(in_.map.at(n, static_cast<std::ptrdiff_t>(y), static_cast<std::ptrdiff_t>(x)) + c * in_.map.element,
                    1, in_.map.element, static_cast<std::uint8_t>(x_.at(n, c, y, x)));
    });
    const std::size_t terms = (is_depthwise() ? 1 : layer.in_c) * layer.kernel * layer.kernel;
    weights_ = {noise.fill_bytes<std::int8_t>(layer.out_c * terms), std::vector<std::int32_t>(layer.out_c),
                std::vector<float>(layer.out_c, 0.05f / static_cast<float>(terms))};
    pack();
    table_.resize(256);
    std::iota(table_.rbegin(), table_.rend(), std::uint8_t{0});
  }

  double operations() const {
    const std::size_t pixels = layer_.kind == LightKind::kTransposed ? layer_.size * layer_.size : out_pixels();
    return 2.0 * static_cast<double>(pixels * weights_.weight.size());
  }
  // Seconds of the dots and of the conversion of all sums, at a peak in operations per second.
  double computing(double peak, const IntegerKernels& kernels) const {
    const double outputs = static_cast<double>(out_pixels() * layer_.out_c), terms = operations() / 2 / outputs;
    const double elements = static_cast<double>(IntegerNumbers::step_elements(kernels)),
                 dots = std::ceil(terms / elements);
    return outputs * (dots + kConversion) * 2 * elements / peak;
  }
  // Bytes of the maps, without halos, and of the weights.
  double bytes() const {
    const std::size_t in = layer_.size * layer_.size * in_.map.pixel();
    return static_cast<double>(in + out_pixels() * out_.map.pixel() + weights_.weight.size() * in_.map.element);
  }
  void use_table(bool use) {
    for (SumStore& sums : sums_) sums.set_table(use ? table_.data() : nullptr, 0);
  }
  void run() {
    const auto* packed = reinterpret_cast<const std::byte*>(packed_.data());
    const std::size_t items = is_depthwise() ? depthwise_.items() : taps_.items();
    const std::size_t pieces =
        threads_ == 1 ? 1 : std::min(items, kPiecesPerThread * static_cast<std::size_t>(threads_));
    parallel_pieces(threads_, pieces, [&](const Piece& piece) {
      const Tile tile = even_tile(items, pieces, piece.index);
      if (is_depthwise())
        depthwise_.run_items(in_.map, packed, sums_[0], out_.map, tile);
      else
        taps_.run_items(in_.map, packed, sums_.data(), out_.map, tile);
    });
  }
  bool correct(bool with_table) {
    const bool transposed = layer_.kind == LightKind::kTransposed;
    const reference::QuantizedWindow::Side side{layer_.kernel, layer_.stride, layer_.padding(), 1};
    const reference::Quantized q{kScale, 0};
    const reference::Dims dims{1, layer_.out_c, layer_.out_size(), layer_.out_size()};
    const reference::Tensor expected = reference::quantized_convolve(
        x_, reference::QuantizedWindow{dims, is_depthwise() ? layer_.in_c : 1, side, side, transposed, q, q, true,
                                       weights_.weight, weights_.bias, weights_.scale,
                                       with_table ? table_ : std::vector<std::uint8_t>{}});
    run();
    bool same = true;
    reference::for_each_element(expected.dims, [&](auto n, auto c, auto y, auto x) {
      const std::byte* at = out_.map.at(n, static_cast<std::ptrdiff_t>(y), static_cast<std::ptrdiff_t>(x));
      same = same && static_cast<double>(at[c * out_.map.element]) == expected.at(n, c, y, x);
    });
    return same;
  }

 private:
  void pack() {
    const bool depthwise = is_depthwise();
    const Panels panels = depthwise ? depthwise_.panels() : taps_.panels();
    const std::size_t lanes = panels.padded();
    packed_ = AlignedBuffer(round_up(depthwise ? depthwise_.weight_bytes() : taps_.weight_bytes(), kAlignment));
    numbers_ = AlignedBuffer(2 * lanes * sums_.size());
    auto* packed = reinterpret_cast<std::byte*>(packed_.data());
    if (depthwise)
      depthwise_.pack_weights(weights_.weight.data(), packed);
    else
      taps_.pack_weights(weights_.weight.data(), packed, 1);
    float* numbers = numbers_.data();
    for (std::size_t i = 0; i < sums_.size(); ++i, numbers += 2 * lanes) {
      QuantizedWeights weights = weights_;
      if (!depthwise) weights.weight = taps_.weights_of(i, weights_.weight);
      sums_[i].pack(weights, 1, panels, depthwise ? 0 : taps_.offset(), reinterpret_cast<std::int32_t*>(numbers),
                    numbers + lanes);
    }
  }
  bool is_depthwise() const { return layer_.kind == LightKind::kDepthwise; }
  std::size_t out_pixels() const { return out_.map.shape.h * out_.map.shape.w; }

  const LightLayer& layer_;
  int threads_;
  Side side_;
  Bytes in_, out_;
  IntegerDepthwise depthwise_;
  IntegerConvolution taps_;
  std::vector<SumStore> sums_;
  reference::Tensor x_;
  QuantizedWeights weights_;
  std::vector<std::uint8_t> table_;
  AlignedBuffer packed_, numbers_;
};

// An elementwise op on maps, on one thread. `maps`: how many maps it reads or writes.
void run_elementwise(const char* name, const IntegerKernels& kernels, const Options& options, double maps,
                     const std::function<void(std::byte*, std::byte*, std::byte*, std::size_t)>& body) {
  constexpr std::size_t kCount = 64 * 40 * 40;
  const std::size_t bytes = kCount * static_cast<std::size_t>(kernels.element_bytes);
  AlignedBuffer memory[3] = {AlignedBuffer(bytes / sizeof(float)), AlignedBuffer(bytes / sizeof(float)),
                             AlignedBuffer(bytes / sizeof(float))};
  const auto at = [&](std::size_t i) { return reinterpret_cast<std::byte*>(memory[i].data()); };
  const Result result = measure(1.0, [&] { body(at(0), at(1), at(2), kCount); }, kernels.dot_peak, 1, options);
  const double all = maps * static_cast<double>(bytes);
  std::printf("%-30s%12s%10.1f%12.1f %% memory\n", name, "", all * result.speed / 1e9,
              100 * all * result.speed / copy_speed(all, 1, options));
}

}  // namespace

bool run_light_integer_table(const KernelTable& table, int threads, const Options& options) {
  const IntegerKernels& kernels = *table.integer;
  std::printf("\n%s, integers, %d thread%s, batch 1: layers with little arithmetic\n%-30s%12s%10s%20s%16s\n", table.isa,
              threads, threads == 1 ? "" : "s", "", "GOP/s", "GB/s", "share of the limit", "with a table");
  bool correct = true;
  for (const LightLayer& spec : kLightLayers) {
    LightIntegerBench layer(spec, kernels, threads);
    bool right = layer.correct(false);
    const Result result = measure(layer.operations(), [&] { layer.run(); }, kernels.dot_peak, threads, options);
    layer.use_table(true);
    right = layer.correct(true) && right;
    const Result looked_up = measure(layer.operations(), [&] { layer.run(); }, kernels.dot_peak, threads, options);
    const double seconds = layer.operations() / result.speed;
    const double copying = layer.bytes() / copy_speed(layer.bytes(), threads, options);
    const double computing = layer.computing(result.peak, kernels), limit = std::fmax(computing, copying);
    std::printf("%-30s%12.1f%10.1f%12.1f %% %s%12.1f %%%s\n", spec.name, result.speed / 1e9,
                layer.bytes() / seconds / 1e9, 100 * limit / seconds, computing > copying ? "dot   " : "memory",
                100 * limit * looked_up.speed / layer.operations(), right ? "" : "   WRONG");
    std::fflush(stdout);
    correct = correct && right;
  }
  if (threads > 1) return correct;
  std::vector<std::uint8_t> entries(256, 7);
  run_elementwise("table", kernels, options, 2, [&](std::byte* a, std::byte*, std::byte* y, std::size_t count) {
    kernels.look_up({entries.data(), a, 0, y, 0, 1, count});
  });
  const IntegerBinary numbers{0.01f, 0.01f, 1, 3, 5, {0.1f, -9, 246, 9}};
  const char* names[]{"add", "mul", "sub"};
  for (std::size_t kind = 0; kind < 3; ++kind)
    run_elementwise(names[kind], kernels, options, 3, [&](std::byte* a, std::byte* b, std::byte* y, std::size_t count) {
      kernels.binary[kind](numbers, a, b, count, y);
    });
  return correct;
}

}  // namespace qarepvgg
