// where: [condition, a, b], plain tensors, broadcast as in NumPy.
#include <algorithm>

#include "program/ops/strided.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

class WhereStep final : public Step {
 public:
  WhereStep(StridedLoop loop, std::size_t element, std::size_t bytes, std::size_t members)
      : Step({loop.runs(), members, 8 * bytes_size(bytes)}), loop_(std::move(loop)), element_(element) {}

 private:
  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    loop_.for_each(items, [&](const StridedLoop::Run& run) {
      const auto element = [&](std::size_t operand, std::size_t i, std::size_t bytes) {
        const std::ptrdiff_t index = loop_.offset(operand, run) + signed_size(i) * loop_.stride(operand);
        return at.inputs[operand] + index * signed_size(bytes);
      };
      for (std::size_t i = 0; i < run.count; ++i) {
        const std::size_t chosen = *element(0, i, 1) != std::byte{0} ? 1 : 2;
        std::copy_n(element(chosen, i, element_), element_, at.outputs[0] + (run.index + i) * element_);
      }
    });
  }

  StridedLoop loop_;
  std::size_t element_;
};

class WhereOp final : public Op {
 public:
  explicit WhereOp(const OpContext& context) {
    context.expect_inputs(3, 3);
    for (const Source& source : context.inputs) operands_.push_back(source.tensor);
    if (operands_[0].type != Dtype::kBool || operands_[1].type != operands_[2].type)
      fail(code::kDtype, "expected a condition of bool and two operands of one type");
    dims_ = broadcast_dims(operands_[0].dims, broadcast_dims(operands_[1].dims, operands_[2].dims));
  }
  Access access(std::size_t) const override { return Access::kPlain; }
  std::vector<ValueType> outputs() const override { return {{{operands_[1].type, dims_}, Layout::kPlain, 0}}; }
  std::unique_ptr<Step> plan(const std::vector<ValueType>&, const std::vector<ValueType>&,
                             std::size_t members) const override {
    std::vector<Strides> strides;
    for (const TensorType& operand : operands_) strides.push_back(broadcast_strides(operand.dims, dims_));
    strides.push_back(strides_of(dims_));
    return std::make_unique<WhereStep>(StridedLoop(dims_, std::move(strides)), bytes_of(operands_[1].type),
                                       elements_of(dims_) * bytes_of(operands_[1].type), members);
  }

 private:
  std::vector<TensorType> operands_;
  Dims dims_;
};

}  // namespace

std::unique_ptr<Op> make_where(const OpContext& context) { return std::make_unique<WhereOp>(context); }

}  // namespace qarepvgg
