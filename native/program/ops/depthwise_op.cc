#include "program/ops/depthwise_op.h"

#include <algorithm>

#include "kernels/dispatch.h"

namespace qarepvgg {
namespace {

// Columns of an item.
constexpr std::size_t kColumns = 64;

// An item is a row of the output, or a part of it.
class DepthwiseStep final : public Step {
 public:
  DepthwiseStep(const DepthwiseOp& op, std::size_t members, const MapShape& in, const MapShape& addend,
                const MapShape& out)
      : Step({out.n * out.h * parts_of(op, out), members,
              map_size(out) * static_cast<double>(op.node().window.taps()) / 4}),
        op_(&op),
        in_(in),
        addend_(addend),
        out_(out) {}

  std::size_t scratch_bytes() const override { return op_->line_scratch_floats() * sizeof(float); }

 private:
  static std::size_t parts_of(const DepthwiseOp& op, const MapShape& out) {
    return op.is_line() ? ceil_div(out.w, kColumns) : 1;
  }

  void run_items(const Operands& at, std::byte* scratch, const Tile& items, bool) const override {
    const FeatureMap in = at.input_map(0, in_), addend = op_->node().addend_at(at, addend_), out = at.output_map(out_);
    if (!op_->is_line()) return op_->run_rows(in, addend, out, items.first, items.first + items.length);
    const std::size_t parts = parts_of(*op_, out_);
    for (std::size_t item = items.first, end = items.first + items.length, count; item < end; item += count) {
      const std::size_t part = item % parts;
      count = std::min(end - item, parts - part);
      const Tile first = even_tile(out_.w, parts, part), last = even_tile(out_.w, parts, part + count - 1);
      op_->run_line(in, addend, out, item / parts, {first.first, last.first + last.length - first.first},
                    reinterpret_cast<float*>(scratch));
    }
  }

  const DepthwiseOp* op_;
  MapShape in_, addend_, out_;
};

}  // namespace

DepthwiseOp::DepthwiseOp(const ConvNode& node)
    : node_(node),
      plan_(node.window, node.in.c, active_kernels()),
      is_line_(node.in.h == 1 && DepthwiseConvolution::supports_line(node.window)) {}

std::size_t DepthwiseOp::weight_bytes() const {
  return checked_mul(checked_add(plan_.weight_floats(), plan_.bias_floats()), sizeof(float));
}

void DepthwiseOp::pack(std::byte* packed, int) {
  weights_ = reinterpret_cast<float*>(packed);
  bias_ = weights_ + plan_.weight_floats();
  if (is_line_)
    plan_.pack_line_weights(node_.weight, weights_);
  else
    plan_.pack_weights(node_.weight, weights_);
  plan_.pack_bias(node_.bias, bias_);
}

DepthwiseOp DepthwiseOp::for_input(const MapShape& in) const {
  DepthwiseOp op(*this);
  op.node_.resize(in);
  return op;
}

std::unique_ptr<Op> DepthwiseOp::resized(const std::vector<ValueType>& inputs) const {
  return std::make_unique<DepthwiseOp>(for_input(inputs[0].map()));
}

std::unique_ptr<Step> DepthwiseOp::plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                                        std::size_t members) const {
  return std::make_unique<DepthwiseStep>(*this, members, inputs[0].map(), node_.addend_of(inputs), outputs[0].map());
}

}  // namespace qarepvgg
