// softmax: [x]; axis, log. Of floats, along an axis of a plain tensor.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/dispatch.h"
#include "program/ops/lines.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

// Kernels get rows of numbers: element by element of lines that lie next to each other, or pieces of a single line.
class SoftmaxStep final : public Step {
 public:
  SoftmaxStep(const Lines& lines, bool log, std::size_t members)
      : Step({lines.count, members, 8 * bytes_size(lines.count * lines.length * sizeof(float))}),
        lines_(lines),
        log_(log) {}

 private:
  static constexpr std::size_t kRow = 64;

  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    lines_.for_each_group(items, kRow, [&](std::size_t line, std::size_t count) {
      const std::size_t first = lines_.first(line);
      compute(at.input(0) + first, count, at.output() + first);
    });
  }

  // Calls visit(offset, length) for each row of so many lines.
  template <class Visit>
  void for_each_row(std::size_t count, const Visit& visit) const {
    const std::size_t step = lines_.step, end = lines_.length * step;
    if (step > 1)
      for (std::size_t at = 0; at < end; at += step) visit(at, count);
    else
      for (std::size_t at = 0; at < end; at += kRow) visit(at, std::min(end - at, kRow));
  }

  void compute(const float* x, std::size_t count, float* y) const {
    const TensorKernels& kernels = *active_kernels().tensor;
    float most[kRow];
    double sums[kRow]{};
    std::fill_n(most, kRow, -std::numeric_limits<float>::infinity());
    for_each_row(count, [&](std::size_t at, std::size_t length) {
      kernels.binary(Binary::kMax, most, false, x + at, false, length, most);
    });
    if (lines_.step == 1) std::fill_n(most, kRow, *std::max_element(most, most + kRow));
    for_each_row(count,
                 [&](std::size_t at, std::size_t length) { kernels.exp_add(x + at, most, length, y + at, sums); });
    if (lines_.step == 1) sums[0] = std::accumulate(sums, sums + kRow, 0.0);
    std::transform(sums, sums + count, sums, [&](double sum) { return log_ ? std::log(sum) : 1 / sum; });
    if (lines_.step == 1) std::fill_n(sums, kRow, sums[0]);
    for_each_row(count, [&](std::size_t at, std::size_t length) {
      if (log_)
        for (std::size_t j = 0; j < length; ++j) y[at + j] = x[at + j] - most[j] - static_cast<float>(sums[j]);
      else
        kernels.times(sums, length, y + at);
    });
  }

  Lines lines_;
  bool log_;
};

}  // namespace

std::unique_ptr<Op> make_softmax(const OpContext& context) {
  const std::size_t axis = axis_of(context);
  const TensorType x = context.floats(0).tensor;
  const bool log = context.attributes().flag("log");
  const Lines lines(x.dims, axis);
  return make_line_op({x},
                      [lines, log](std::size_t members) { return std::make_unique<SoftmaxStep>(lines, log, members); });
}

}  // namespace qarepvgg
