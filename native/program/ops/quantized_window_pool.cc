// maxPool of integers: [x]. quantizedAveragePool: [x]; inputScale, inputZeroPoint, outputScale, outputZeroPoint. Both
// have the attributes of maxPool and averagePool, too.
#include <algorithm>

#include "program/ops/image_parts.h"
#include "program/ops/map_step.h"
#include "program/ops/pool_parts.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

// Calls body with an element of a map.
template <class Body>
void with_element(std::size_t bytes, const Body& body) {
  if (bytes == 1)
    body(std::uint8_t{});
  else
    body(std::int16_t{});  // numbers from 0 to 255; any processor compares signed words fast
}

// Calls visit(pixel) for the pixels under the window at a position, row by row.
template <class Visit>
void for_each_tap(const PoolWindow& pool, const ByteMap& in, std::size_t image, std::size_t y, std::size_t x,
                  const Visit& visit) {
  const Span &ys = pool.rows[y], &xs = pool.columns[x];
  for (std::size_t i = 0; i < ys.count; ++i) {
    const std::byte* pixel = in.at(image, ys.start + signed_size(i * pool.window.y.dilation), xs.start);
    for (std::size_t j = 0; j < xs.count; ++j, pixel += pool.window.x.dilation * in.pixel()) visit(pixel);
  }
}

// Raises numbers to those of three pixels, which may be the same one.
template <class T>
void raise(const std::byte* const (&pixels)[3], std::size_t lanes, T* __restrict most) {
  const T* const a = reinterpret_cast<const T*>(pixels[0]);
  const T* const b = reinterpret_cast<const T*>(pixels[1]);
  const T* const c = reinterpret_cast<const T*>(pixels[2]);
  for (std::size_t i = 0; i < lanes; ++i) most[i] = std::max(std::max(most[i], a[i]), std::max(b[i], c[i]));
}

class IntegerMaxPool final : public Op {
 public:
  explicit IntegerMaxPool(const OpContext& context)
      : quantization_(*context.inputs[0].quantization),
        pool_(read_pool_window(context, read_image(context, Dtype::kUint8))) {}

  Access access(std::size_t) const override { return Access::kMap; }
  std::vector<ValueType> outputs() const override { return {integer_map(pool_.out, quantization_)}; }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    const ValueType in = inputs[0], out = outputs[0];
    const auto rows = [this, in, out](const Operands& at, std::size_t first, std::size_t end) {
      const ByteMap x = at.input_bytes(0, in), y = at.output_bytes(0, out);
      with_element(y.element, [&](auto element) {
        for (std::size_t line = first; line < end; ++line)
          run_row<decltype(element)>(x, y, line / y.shape.h, line % y.shape.h);
      });
      clear_padding(y, out.zero_point(), first, end);
    };
    return make_row_step(out.map(), members, std::nullopt, static_cast<double>(pool_.window.taps()), rows);
  }

 private:
  // The output of a position without a pixel is the lowest integer.
  template <class T>
  void run_row(const ByteMap& in, const ByteMap& out, std::size_t image, std::size_t y) const {
    const std::size_t lanes = out.shape.pixel();
    T* most = reinterpret_cast<T*>(out.at(image, signed_size(y), 0));
    for (std::size_t x = 0; x < out.shape.w; ++x, most += lanes) {
      std::fill_n(most, lanes, T{0});
      const std::byte* pixels[3];
      std::size_t count = 0;
      for_each_tap(pool_, in, image, y, x, [&](const std::byte* pixel) {
        pixels[count++] = pixel;
        if (count < 3) return;
        raise(pixels, lanes, most);
        count = 0;
      });
      if (count == 0) continue;
      std::fill(pixels + count, pixels + 3, pixels[0]);
      raise(pixels, lanes, most);
    }
  }

  Quantization quantization_;
  PoolWindow pool_;
};

// Like onnxruntime's QLinearAveragePool: adds floats row by row, divides by their count, and quantises.
class IntegerAveragePool final : public Op {
 public:
  explicit IntegerAveragePool(const OpContext& context)
      : from_(read_input_quantization(context)),
        to_(read_quantization(context, "output")),
        pool_(read_pool_window(context, read_image(context, Dtype::kUint8))) {
    SumStore(from_, to_).check({1.0f}, "its scales");
  }

  Access access(std::size_t) const override { return Access::kMap; }
  std::vector<ValueType> outputs() const override { return {integer_map(pool_.out, to_)}; }
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override {
    return std::make_unique<AverageStep>(*this, inputs[0], outputs[0], members);
  }

 private:
  class AverageStep final : public Step {
   public:
    AverageStep(const IntegerAveragePool& op, const ValueType& in, const ValueType& out, std::size_t members)
        : Step({out.map().n * out.map().h, members, map_size(out.map()) * static_cast<double>(op.pool_.window.taps())}),
          op_(op),
          in_(in),
          out_(out) {}
    std::size_t scratch_bytes() const override { return out_.map().pixel() * sizeof(float); }

   private:
    void run_items(const Operands& at, std::byte* scratch, const Tile& items, bool) const override {
      const ByteMap x = at.input_bytes(0, in_), y = at.output_bytes(0, out_);
      with_element(y.element, [&](auto element) {
        for (std::size_t line = items.first; line < items.first + items.length; ++line)
          op_.run_row<decltype(element)>(x, y, line / y.shape.h, line % y.shape.h, reinterpret_cast<float*>(scratch));
      });
      clear_padding(y, out_.zero_point(), items.first, items.first + items.length);
    }

    const IntegerAveragePool& op_;
    ValueType in_, out_;
  };

  template <class T>
  void run_row(const ByteMap& in, const ByteMap& out, std::size_t image, std::size_t y, float* sums) const {
    const std::size_t lanes = out.shape.pixel();
    const float scale = from_.scale(), to = to_.scale();
    const int zero = from_.zero_point();
    const float to_zero = to_.zero_point();
    T* mean = reinterpret_cast<T*>(out.at(image, signed_size(y), 0));
    for (std::size_t x = 0; x < out.shape.w; ++x, mean += lanes) {
      std::fill_n(sums, lanes, 0.0f);
      for_each_tap(pool_, in, image, y, x, [&](const std::byte* pixel) {
        const T* from = reinterpret_cast<const T*>(pixel);
        for (std::size_t c = 0; c < lanes; ++c) sums[c] += scale * static_cast<float>(from[c] - zero);
      });
      const float count =
          static_cast<float>(std::max<std::size_t>(1, pool_.rows[y].counted * pool_.columns[x].counted));
      // Adding 1.5 * 2^23 leaves no bits for a fraction, so it rounds to the nearest whole number, ties to even.
      for (std::size_t c = 0; c < lanes; ++c) {
        const float steps = std::min(std::max(sums[c] / count / to + to_zero, 0.0f), 255.0f);
        mean[c] = static_cast<T>(static_cast<int>((steps + 0x1.8p23f) - 0x1.8p23f));
      }
    }
  }

  Quantization from_, to_;
  PoolWindow pool_;
};

}  // namespace

std::unique_ptr<Op> make_integer_max_pool(const OpContext& context) {
  context.expect_inputs(1, 1);
  return std::make_unique<IntegerMaxPool>(context);
}
std::unique_ptr<Op> make_quantized_average_pool(const OpContext& context) {
  context.expect_inputs(1, 1);
  return std::make_unique<IntegerAveragePool>(context);
}

}  // namespace qarepvgg
