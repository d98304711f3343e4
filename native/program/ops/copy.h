// Ops that move elements without changing them.
#pragma once

#include <memory>

#include "program/op.h"
#include "program/ops/strided.h"

namespace qarepvgg {

// Copies so many bytes of each line, lines that are `from_step` and `to_step` bytes apart.
void copy_lines(const std::byte* from, std::ptrdiff_t from_step, std::byte* to, std::ptrdiff_t to_step,
                std::size_t bytes, std::size_t lines);

// result[o] = x[first + sum of index * stride]: reshaping, transposing, slicing, repeating.
std::unique_ptr<Step> make_strided_copy(const Dims& dims, const Strides& strides, std::ptrdiff_t first,
                                        std::size_t element, std::size_t members);

// An op with one plain operand whose output is such a copy.
class StridedCopyOp final : public Op {
 public:
  StridedCopyOp(const TensorType& result, Dims walk, Strides strides, std::ptrdiff_t first);
  Access access(std::size_t input) const override { return input == 0 ? Access::kPlain : Access::kNone; }
  std::vector<ValueType> outputs() const override { return {{result_, Layout::kPlain, 0}}; }
  std::optional<std::size_t> offset_in_operand(std::size_t output) const override;
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override;

 private:
  TensorType result_;
  Dims walk_;  // dims over which indices iterate; may have a higher rank than the output
  Strides strides_;
  std::ptrdiff_t first_;
};

}  // namespace qarepvgg
