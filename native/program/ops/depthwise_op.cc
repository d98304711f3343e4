#include "program/ops/depthwise_op.h"

#include "kernels/dispatch.h"
#include "program/ops/map_step.h"

namespace qarepvgg {

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
  const MapShape in = inputs[0].map(), addend = node_.addend_of(inputs), out = outputs[0].map();
  const auto rows = [this, in, addend, out](const Operands& at, std::size_t first, std::size_t end) {
    run_rows(at.input_map(0, in), node_.addend_at(at, addend), at.output_map(out), first, end);
  };
  return make_row_step(out, members, std::nullopt, static_cast<double>(node_.window.taps()) / 4, rows);
}

}  // namespace qarepvgg
