#include "program/ops/depthwise_op.h"

#include <algorithm>

#include "kernels/dispatch.h"

namespace qarepvgg {
namespace {

// Columns of an item.
constexpr std::size_t kColumns = 64;

// An item is a row of the output; in maps of one row, which sequences are, a part of it.
class DepthwiseStep final : public Step {
 public:
  DepthwiseStep(const DepthwiseOp& op, std::size_t members, const MapShape& in, const MapShape& addend,
                const MapShape& out)
      : Step(
            {out.n * out.h * parts_of(out), members, map_size(out) * static_cast<double>(op.node().window.taps()) / 4}),
        op_(&op),
        in_(in),
        addend_(addend),
        out_(out) {}

 private:
  static std::size_t parts_of(const MapShape& out) { return out.h == 1 ? ceil_div(out.w, kColumns) : 1; }

  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    const FeatureMap in = at.input_map(0, in_), addend = op_->node().addend_at(at, addend_), out = at.output_map(out_);
    const std::size_t parts = parts_of(out_);
    for (std::size_t item = items.first, end = items.first + items.length; item < end;) {
      const std::size_t line = item / parts, part = item % parts, rows = part == 0 ? (end - item) / parts : 0;
      const std::size_t count = rows > 0 ? parts : std::min(end - item, parts - part);  // of a row
      const Tile first = even_tile(out_.w, parts, part), last = even_tile(out_.w, parts, part + count - 1);
      op_->run_rows(in, addend, out, line, line + std::max<std::size_t>(rows, 1),
                    {first.first, last.first + last.length - first.first});
      item += std::max<std::size_t>(rows, 1) * count;
    }
  }

  const DepthwiseOp* op_;
  MapShape in_, addend_, out_;
};

}  // namespace

DepthwiseOp::DepthwiseOp(const ConvNode& node) : node_(node), plan_(node.window, node.in.c, active_kernels()) {}

std::size_t DepthwiseOp::weight_bytes() const {
  return checked_mul(checked_add(plan_.weight_floats(), plan_.bias_floats()), sizeof(float));
}

void DepthwiseOp::pack(std::byte* packed, int) {
  weights_ = reinterpret_cast<float*>(packed);
  bias_ = weights_ + plan_.weight_floats();
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
