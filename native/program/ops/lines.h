// What ops along the lines of an axis of plain tensors share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "program/op.h"

namespace qarepvgg {

// The lines of one axis: line i begins at first(i), and its elements are `step` apart.
struct Lines {
  std::size_t count = 0, length = 0, step = 1;

  Lines(const Dims& dims, std::size_t axis) : length(dims[axis]) {
    std::size_t outer = 1;
    for (std::size_t i = 0; i < axis; ++i) outer *= dims[i];
    for (std::size_t i = axis + 1; i < dims.size(); ++i) step *= dims[i];
    count = outer * step;
  }
  std::size_t first(std::size_t line) const { return first(line, length); }
  // Beginning of the same line in a tensor whose axis has another length.
  std::size_t first(std::size_t line, std::size_t other_length) const {
    return line / step * step * other_length + line % step;
  }
  // Calls visit(line, count) for groups of at most so many lines that lie next to each other.
  template <class Visit>
  void for_each_group(const Tile& items, std::size_t most, const Visit& visit) const {
    for (std::size_t line = items.first, end = items.first + items.length, together; line < end; line += together) {
      together = std::min({end - line, step - line % step, most});
      visit(line, together);
    }
  }
};

// The attribute `axis` of an op with one operand. Throws ERR_INVALID_ARG unless the operand has it.
std::size_t axis_of(const OpContext& context);

// A step that computes line by line.
template <class Line>
class LineStep final : public Step {
 public:
  LineStep(const Lines& lines, std::size_t members, std::size_t scratch, Line line)
      : Step({lines.count, members, 8 * bytes_size(lines.count * lines.length * sizeof(float))}),
        scratch_(scratch),
        line_(std::move(line)) {}
  std::size_t scratch_bytes() const override { return scratch_; }

 private:
  void run_items(const Operands& at, std::byte* scratch, const Tile& items, bool) const override {
    for (std::size_t line = items.first; line < items.first + items.length; ++line) line_(at, line, scratch);
  }

  std::size_t scratch_;
  Line line_;
};

template <class Line>
std::unique_ptr<Step> make_line_step(const Lines& lines, std::size_t members, std::size_t scratch, Line line) {
  return std::make_unique<LineStep<Line>>(lines, members, scratch, std::move(line));
}

// An op with one plain operand and these outputs, whose step is made by `make`.
template <class Make>
class LineOp final : public Op {
 public:
  LineOp(std::vector<TensorType> results, Make make) : make_(std::move(make)) {
    for (TensorType& result : results) results_.push_back({std::move(result), Layout::kPlain, 0});
  }
  Access access(std::size_t input) const override { return input == 0 ? Access::kPlain : Access::kNone; }
  std::vector<ValueType> outputs() const override { return results_; }
  std::unique_ptr<Step> plan(const std::vector<ValueType>&, const std::vector<ValueType>&,
                             std::size_t members) const override {
    return make_(members);
  }

 private:
  std::vector<ValueType> results_;
  Make make_;
};

template <class Make>
std::unique_ptr<Op> make_line_op(std::vector<TensorType> results, Make make) {
  return std::make_unique<LineOp<Make>>(std::move(results), std::move(make));
}

}  // namespace qarepvgg
