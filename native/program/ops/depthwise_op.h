// A depthwise convolution of floats (ops/depthwise.h).
#pragma once

#include "ops/depthwise.h"
#include "program/ops/conv_parts.h"

namespace qarepvgg {

class DepthwiseOp final : public Op {
 public:
  explicit DepthwiseOp(const ConvNode& node);

  Access access(std::size_t input) const override { return input == 0 || input == 3 ? Access::kMap : Access::kNone; }
  std::size_t halo(std::size_t input) const override { return input == 0 && !is_line_ ? node_.input_halo() : 0; }
  std::vector<ValueType> outputs() const override { return {node_.output()}; }
  double macs() const override { return node_.macs(); }
  bool applies_activation() const override { return node_.activation.any(); }
  std::size_t replaces() const override { return node_.has_addend ? 3 : kNoValue; }
  std::size_t weight_bytes() const override;
  void pack(std::byte* packed, int threads) override;
  std::unique_ptr<Op> resized(const std::vector<ValueType>& inputs) const override;
  std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                             std::size_t members) const override;

  const ConvNode& node() const { return node_; }
  // Whether it needs no halo, which for one row, as of a sequence, would have many rows above and below.
  bool is_line() const { return is_line_; }
  void run_line(const FeatureMap& in, const FeatureMap& addend, const FeatureMap& out, std::size_t line,
                const Tile& columns, float* scratch) const {
    plan_.run_line(in, weights_, bias_, out, node_.options(addend), line, columns, scratch);
  }
  std::size_t line_scratch_floats() const { return is_line_ ? plan_.line_scratch_floats(node_.in.w) : 0; }
  DepthwiseOp for_input(const MapShape& in) const;
  // Computes output rows [first, end), numbered through all images.
  void run_rows(const FeatureMap& in, const FeatureMap& addend, const FeatureMap& out, std::size_t first,
                std::size_t end) const {
    plan_.run_rows(in, weights_, bias_, out, node_.options(addend), first, end);
  }

 private:
  ConvNode node_;
  DepthwiseConvolution plan_;
  bool is_line_;
  float *weights_ = nullptr, *bias_ = nullptr;
};

}  // namespace qarepvgg
