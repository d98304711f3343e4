// softmax: [x]; axis, log. Of floats, along an axis of a plain tensor.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/dispatch.h"
#include "program/ops/lines.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

class SoftmaxStep final : public Step {
 public:
  SoftmaxStep(const Lines& lines, bool log, std::size_t members)
      : Step({lines.count, members, 8 * bytes_size(lines.count * lines.length * sizeof(float))}),
        lines_(lines),
        log_(log) {}

 private:
  static constexpr std::size_t kTogether = 64;

  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    if (lines_.length == 0) return;
    if (lines_.step > 1)
      lines_.for_each_group(items, kTogether, [&](std::size_t line, std::size_t count) {
        const std::size_t first = lines_.first(line);
        compute_neighbors(at.input(0) + first, count, at.output() + first);
      });
    else
      for (std::size_t line = items.first; line < items.first + items.length; ++line)
        compute_line(at.input(0) + line * lines_.length, at.output() + line * lines_.length);
  }

  void compute_line(const float* x, float* y) const {
    const KernelTable& kernels = active_kernels();
    if (!log_) return kernels.softmax(x, lines_.length, y, nullptr);
    float sum;
    kernels.softmax(x, lines_.length, y, &sum);
    const float log = static_cast<float>(std::log(static_cast<double>(sum)));
    kernels.tensor->binary(Binary::kSub, y, false, &log, true, lines_.length, y);
  }

  // Lines that lie next to each other, element by element of all.
  void compute_neighbors(const float* x, std::size_t count, float* y) const {
    const TensorKernels& kernels = *active_kernels().tensor;
    const std::size_t end = lines_.length * lines_.step;
    float most[kTogether];
    double sums[kTogether]{};
    std::fill_n(most, count, -std::numeric_limits<float>::infinity());
    for (std::size_t i = 0; i < end; i += lines_.step)
      kernels.binary(Binary::kMax, most, false, x + i, false, count, most);
    for (std::size_t i = 0; i < end; i += lines_.step) kernels.exp_add(x + i, most, count, y + i, sums);
    std::transform(sums, sums + count, sums, [&](double sum) { return log_ ? std::log(sum) : 1 / sum; });
    for (std::size_t i = 0; i < end; i += lines_.step) {
      if (log_)
        for (std::size_t j = 0; j < count; ++j) y[i + j] = x[i + j] - most[j] - static_cast<float>(sums[j]);
      else
        kernels.times(sums, count, y + i);
    }
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
