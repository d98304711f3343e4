// gather: [x, indices]; axis. cast: [x]; to. Both take plain tensors.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "program/ops/dispatch_type.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

class GatherStep final : public Step {
 public:
  GatherStep(const TensorType& x, std::size_t axis, const TensorType& indices, std::size_t members)
      : GatherStep(x, product(x.dims, 0, axis), x.dims[axis], product(x.dims, axis + 1, x.dims.size()), indices,
                   members) {}

 private:
  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    if (wide_)
      gather<std::int64_t>(at, items);
    else
      gather<std::int32_t>(at, items);
  }

  template <class Index>
  void gather(const Operands& at, const Tile& items) const {
    const auto* indices = reinterpret_cast<const Index*>(at.inputs[1]);
    for (std::size_t outer = items.first; outer < items.first + items.length; ++outer) {
      const std::byte* x = at.inputs[0] + outer * length_ * bytes_;
      std::byte* y = at.outputs[0] + outer * count_ * bytes_;
      // A copy of a fixed size needs no call.
      if (bytes_ == sizeof(float))
        copy<sizeof(float)>(x, indices, y);
      else
        copy<0>(x, indices, y);
    }
  }

  // Negative indices count from the end. An index out of range reads zeros, because a run must not fail because of its
  // data.
  template <std::size_t kFixed, class Index>
  void copy(const std::byte* x, const Index* indices, std::byte* y) const {
    const std::size_t bytes = kFixed > 0 ? kFixed : bytes_, length = length_;
    for (std::size_t i = 0; i < count_; ++i, y += bytes) {
      const std::int64_t index = indices[i];
      const auto from = static_cast<std::size_t>(index < 0 ? index + static_cast<std::int64_t>(length) : index);
      if (from >= length)
        std::memset(y, 0, bytes);
      else
        std::memcpy(y, x + from * bytes, bytes);
    }
  }

  GatherStep(const TensorType& x, std::size_t outer, std::size_t length, std::size_t inner, const TensorType& indices,
             std::size_t members)
      : Step({outer, members, 2 * bytes_size(outer * indices.elements() * inner * bytes_of(x.type))}),
        length_(length),
        count_(indices.elements()),
        bytes_(inner * bytes_of(x.type)),
        wide_(indices.type == Dtype::kInt64) {}

  static std::size_t product(const Dims& dims, std::size_t first, std::size_t end) {
    return elements_of(Dims(dims.begin() + signed_size(first), dims.begin() + signed_size(end)));
  }

  std::size_t length_, count_, bytes_;
  bool wide_;
};

class GatherOp final : public Op {
 public:
  explicit GatherOp(const OpContext& context) {
    context.expect_inputs(2, 2);
    x_ = context.inputs[0].tensor;
    indices_ = context.inputs[1].tensor;
    axis_ = context.attributes().size("axis");
    if (axis_ >= x_.dims.size())
      fail(code::kInvalidArg, "expected an axis below ", x_.dims.size(), ", received ", axis_);
    if (indices_.type != Dtype::kInt64 && indices_.type != Dtype::kInt32)
      fail(code::kDtype, "expected indices of int32 or int64, received ", name_of(indices_.type));
    if (x_.dims[axis_] == 0 && indices_.elements() > 0) fail(code::kShape, "expected something to gather from");
  }
  Access access(std::size_t) const override { return Access::kPlain; }
  std::vector<ValueType> outputs() const override {
    Dims dims(x_.dims.begin(), x_.dims.begin() + signed_size(axis_));
    dims.insert(dims.end(), indices_.dims.begin(), indices_.dims.end());
    dims.insert(dims.end(), x_.dims.begin() + signed_size(axis_) + 1, x_.dims.end());
    return {{{x_.type, dims}, Layout::kPlain, 0}};
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>&, const std::vector<ValueType>&,
                             std::size_t members) const override {
    return std::make_unique<GatherStep>(x_, axis_, indices_, members);
  }

 private:
  TensorType x_, indices_;
  std::size_t axis_;
};

// Clamps numbers to the bounds of the type; NaN becomes zero.
template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<From, float> && !std::is_same_v<To, float>) {
    if (std::isnan(value)) return 0;
    const double low = static_cast<double>(std::numeric_limits<To>::min()),
                 high = static_cast<double>(std::numeric_limits<To>::max());
    const double whole = std::trunc(static_cast<double>(value));
    if (whole <= low) return std::numeric_limits<To>::min();
    if (whole >= high) return std::numeric_limits<To>::max();
    return static_cast<To>(whole);
  } else {
    return static_cast<To>(value);
  }
}

template <class From, class To>
class CastStep final : public Step {
 public:
  CastStep(std::size_t count, bool to_bool, std::size_t members)
      : Step({count, members, bytes_size(count * (sizeof(From) + sizeof(To)))}), to_bool_(to_bool) {}

 private:
  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    const From* x = reinterpret_cast<const From*>(at.inputs[0]);
    To* y = reinterpret_cast<To*>(at.outputs[0]);
    for (std::size_t i = items.first; i < items.first + items.length; ++i)
      y[i] = to_bool_ ? static_cast<To>(x[i] != From{0}) : convert<To>(x[i]);
  }

  bool to_bool_;
};

class CastOp final : public Op {
 public:
  explicit CastOp(const OpContext& context) {
    context.expect_inputs(1, 1);
    x_ = context.inputs[0].tensor;
    to_ = dtype_of(context.attributes().text("to"));
  }
  Access access(std::size_t) const override { return Access::kPlain; }
  std::vector<ValueType> outputs() const override { return {{{to_, x_.dims}, Layout::kPlain, 0}}; }
  std::unique_ptr<Step> plan(const std::vector<ValueType>&, const std::vector<ValueType>&,
                             std::size_t members) const override {
    return with_type(x_.type, [&](auto from) {
      return with_type(to_, [&](auto to) -> std::unique_ptr<Step> {
        return std::make_unique<CastStep<decltype(from), decltype(to)>>(x_.elements(), to_ == Dtype::kBool, members);
      });
    });
  }

 private:
  TensorType x_;
  Dtype to_;
};

}  // namespace

std::unique_ptr<Op> make_gather(const OpContext& context) { return std::make_unique<GatherOp>(context); }
std::unique_ptr<Op> make_cast(const OpContext& context) { return std::make_unique<CastOp>(context); }

}  // namespace qarepvgg
