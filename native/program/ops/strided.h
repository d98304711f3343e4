// Loops over plain tensors whose operands are read with strides: broadcasting, transposing, slicing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "ops/conv_taps.h"
#include "program/graph.h"

namespace qarepvgg {

using Strides = std::vector<std::ptrdiff_t>;

// Strides of a row-major tensor, in elements.
Strides strides_of(const Dims& dims);
// Strides of an operand that is broadcast to `dims` as in NumPy: zero along axes of one element. Throws ERR_SHAPE.
Strides broadcast_strides(const Dims& operand, const Dims& dims);
// The dims that two operands are broadcast to. Throws ERR_SHAPE.
Dims broadcast_dims(const Dims& a, const Dims& b);

// Iterates all indices of `dims` as runs with constant strides, in row-major order. Neighbouring axes are merged if
// every operand allows it, and long runs are cut, so that there is work for several threads.
class StridedLoop {
 public:
  StridedLoop(const Dims& dims, std::vector<Strides> operands);

  struct Run {
    std::size_t outer, first, count;  // elements first .. first + count of line number `outer`
    std::size_t index;                // row-major, of its first element
    std::size_t lines = 1;            // so many whole lines, `line_stride` apart
  };
  std::size_t runs() const { return checked_mul(outer_, blocks_); }
  Run run(std::size_t index) const;
  // Calls visit(run) for some of the runs.
  template <class Visit>
  void for_each(const Tile& items, const Visit& visit) const {
    for (std::size_t i = items.first; i < items.first + items.length; ++i) visit(run(i));
  }
  // The same, with as many lines as possible in a run: lines may have few elements.
  template <class Visit>
  void for_each_block(const Tile& items, const Visit& visit) const {
    for (std::size_t i = items.first, end = items.first + items.length; i < end;) {
      Run next = run(i);
      if (blocks_ == 1) next.lines = std::min(end - i, lines() - next.outer % lines());
      visit(next);
      i += next.lines;
    }
  }
  // Whether an operand's elements are consecutive.
  bool is_dense(std::size_t operand) const { return dims_.size() == 1 && (dims_[0] <= 1 || stride(operand) == 1); }
  // Distance between two elements of a run.
  std::ptrdiff_t stride(std::size_t operand) const { return operands_[operand].back(); }
  // Distance between two lines.
  std::ptrdiff_t line_stride(std::size_t operand) const {
    return dims_.size() == 1 ? 0 : operands_[operand][dims_.size() - 2];
  }
  // Offset of a run in an operand, in elements.
  std::ptrdiff_t offset(std::size_t operand, const Run& run) const;

 private:
  std::size_t length() const { return dims_.back(); }
  // Of the axis before the last one.
  std::size_t lines() const { return dims_.size() == 1 ? 1 : dims_[dims_.size() - 2]; }

  Dims dims_;  // has at least one dim
  std::vector<Strides> operands_;
  std::size_t outer_ = 1, blocks_ = 1;
};

}  // namespace qarepvgg
