#include "program/ops/strided.h"

#include <algorithm>

namespace qarepvgg {
namespace {

constexpr std::size_t kRunElements = 16384;

}  // namespace

Strides strides_of(const Dims& dims) {
  Strides strides(dims.size(), 1);
  for (std::size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * signed_size(dims[i]);
  return strides;
}

Strides broadcast_strides(const Dims& operand, const Dims& dims) {
  const Strides own = strides_of(operand);
  if (operand.size() > dims.size())
    fail(code::kShape, "expected dims that broadcast to ", text_of(dims), ", received ", text_of(operand));
  const std::size_t missing = dims.size() - operand.size();
  Strides strides(dims.size(), 0);
  for (std::size_t i = 0; i < operand.size(); ++i) {
    if (operand[i] == dims[missing + i])
      strides[missing + i] = operand[i] == 1 ? 0 : own[i];
    else if (operand[i] != 1)
      fail(code::kShape, "expected dims that broadcast to ", text_of(dims), ", received ", text_of(operand));
  }
  return strides;
}

Dims broadcast_dims(const Dims& a, const Dims& b) {
  Dims dims(std::max(a.size(), b.size()), 1);
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const std::size_t p = i < a.size() ? a[a.size() - 1 - i] : 1, q = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (p != q && p != 1 && q != 1)
      fail(code::kShape, "expected dims that broadcast together, received ", text_of(a), " and ", text_of(b));
    dims[dims.size() - 1 - i] = p == 1 ? q : p;
  }
  return dims;
}

StridedLoop::StridedLoop(const Dims& dims, std::vector<Strides> operands) : operands_(operands.size()) {
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    if (dims[axis] == 1) continue;
    const bool merges = !dims_.empty() && [&] {
      for (std::size_t i = 0; i < operands.size(); ++i)
        if (operands_[i].back() != operands[i][axis] * signed_size(dims[axis])) return false;
      return true;
    }();
    if (merges) {
      dims_.back() *= dims[axis];
      for (std::size_t i = 0; i < operands.size(); ++i) operands_[i].back() = operands[i][axis];
    } else {
      dims_.push_back(dims[axis]);
      for (std::size_t i = 0; i < operands.size(); ++i) operands_[i].push_back(operands[i][axis]);
    }
  }
  if (dims_.empty()) {
    dims_.push_back(1);
    for (Strides& strides : operands_) strides.push_back(0);
  }
  for (std::size_t i = 0; i + 1 < dims_.size(); ++i) outer_ = checked_mul(outer_, dims_[i]);
  blocks_ = std::max<std::size_t>(1, ceil_div(length(), kRunElements));
}

StridedLoop::Run StridedLoop::run(std::size_t index) const {
  const std::size_t block = index % blocks_, outer = index / blocks_;
  const std::size_t first = length() * block / blocks_, end = length() * (block + 1) / blocks_;
  return {outer, first, end - first, outer * length() + first};
}

std::ptrdiff_t StridedLoop::offset(std::size_t operand, const Run& run) const {
  const Strides& strides = operands_[operand];
  std::ptrdiff_t offset = signed_size(run.first) * strides.back();
  std::size_t rest = run.outer;
  for (std::size_t axis = dims_.size() - 1; axis-- > 0;) {
    offset += signed_size(rest % dims_[axis]) * strides[axis];
    rest /= dims_[axis];
  }
  return offset;
}

}  // namespace qarepvgg
