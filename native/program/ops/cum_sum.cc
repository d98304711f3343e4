// cumSum: [x]; axis, exclusive, reverse. Along an axis of a plain tensor.

#include "program/ops/dispatch_type.h"
#include "program/ops/lines.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

template <class T>
void write_sums(const Operands& at, const Lines& lines, std::size_t line, bool exclusive, bool reverse) {
  const T* x = reinterpret_cast<const T*>(at.inputs[0]) + lines.first(line);
  T* y = reinterpret_cast<T*>(at.outputs[0]) + lines.first(line);
  T sum = 0;
  for (std::size_t i = 0; i < lines.length; ++i) {
    const std::size_t index = (reverse ? lines.length - 1 - i : i) * lines.step;
    const T next = static_cast<T>(sum + x[index]);
    y[index] = exclusive ? sum : next;
    sum = next;
  }
}

}  // namespace

std::unique_ptr<Op> make_cum_sum(const OpContext& context) {
  const std::size_t axis = axis_of(context);
  const TensorType x = context.inputs[0].tensor;
  const bool exclusive = context.attributes().flag("exclusive"), reverse = context.attributes().flag("reverse");
  const Lines lines(x.dims, axis);
  return make_line_op({x}, [=](std::size_t members) {
    return with_type(x.type, [&](auto zero) {
      return make_line_step(lines, members, 0, [=](const Operands& at, std::size_t line, std::byte*) {
        write_sums<decltype(zero)>(at, lines, line, exclusive, reverse);
      });
    });
  });
}

}  // namespace qarepvgg
