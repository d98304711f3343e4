// How ops of convolutions, of floats and of integers, use the drivers of native/ops: a method plans a convolution,
// packs its weights and runs a part of it. Node: ConvNode or QuantizedNode.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/dispatch.h"
#include "ops/convolution.h"
#include "ops/stem.h"
#include "ops/winograd.h"
#include "program/op.h"

namespace qarepvgg {

template <class Node>
struct DirectMethod {
  using Numbers = typename Node::Numbers;
  using Plan = Convolution<Numbers>;
  static constexpr bool kReadsImage = false;
  static constexpr double kMacs = Numbers::kPieceMacs;

  // A plan reads the weights that its nominal one has packed.
  static Plan plan(const Node& node, const MapShape& in, const Plan* nominal, std::size_t members) {
    const auto& kernels = Numbers::kernels(active_kernels());
    Plan plan = node.transposed ? Plan::transposed(in, node.out, node.groups, node.window, kernels)
                                : Plan::forward(in, node.out_c, node.groups, node.window, kernels);
    if (nominal != nullptr) plan.share(nominal->panels(), members);
    return plan;
  }
  // All pads count: how many of them the last kernel reaches depends on the size of the image.
  static std::size_t halo(const Node& node, const Plan& plan) {
    return node.transposed ? plan.halo() : node.input_halo();
  }
  static void pack(const Plan& plan, const Node& node, typename Plan::Packed* packed, int threads) {
    if (node.has_transposed_weight())
      plan.pack_transposed_weights(node.first_weight(), packed, threads);
    else
      plan.pack_weights(node.first_weight(), packed, threads);
  }
  static std::size_t scratch_bytes(const Plan&) { return 0; }
  static void run(const Plan& plan, const Operands&, const typename Plan::Map& in, const typename Plan::Packed* weights,
                  const typename Plan::Output* outputs, const typename Plan::Map& out, std::byte*, const Tile& items,
                  bool) {
    plan.run_items(in, weights, outputs, out, items);
  }
};

template <class Node>
struct WinogradMethod {
  using Numbers = typename Node::Numbers;
  using Plan = Winograd<Numbers>;
  static constexpr bool kReadsImage = false;
  static constexpr double kMacs = Numbers::kWinogradPieceMacs;

  static Plan plan(const Node& node, const MapShape& in, const Plan* nominal, std::size_t members) {
    const auto& kernels = Numbers::kernels(active_kernels());
    const ConvShape shape = node.winograd_shape(in);
    if (nominal == nullptr) return Plan(shape, Plan::choose(shape, kernels), members, kernels, Plan::keeps(shape));
    return Plan(shape, nominal->panels(), members, kernels, nominal->kept());
  }
  static std::size_t halo(const Node& node, const Plan&) { return node.input_halo(); }
  static void pack(const Plan& plan, const Node& node, typename Plan::Packed* packed, int threads) {
    const ConvShape shape = node.winograd_shape(node.in);
    const std::size_t from = node.in.c / node.groups * 9, to = shape.in_c / node.groups * 9;
    const auto* source = node.first_weight();
    if (from == to && node.out_c == shape.out_c) return plan.pack_weights(source, packed, threads);
    std::vector<typename Plan::Weight> weight(checked_mul(shape.out_c, to));
    for (std::size_t out = 0; out < node.out_c; ++out) std::copy_n(source + out * from, from, &weight[out * to]);
    plan.pack_weights(weight.data(), packed, threads);
  }
  static std::size_t scratch_bytes(const Plan& plan) { return plan.scratch_bytes(); }
  static void run(const Plan& plan, const Operands&, const typename Plan::Map& in, const typename Plan::Packed* weights,
                  const typename Plan::Output* outputs, const typename Plan::Map& out, std::byte* scratch,
                  const Tile& items, bool first) {
    plan.run_items(in, weights, *outputs, out, scratch, items, first);
  }
};

// Reads a row-major image of floats or bytes.
template <class Node>
struct StemMethod {
  using Numbers = typename Node::Numbers;
  using Plan = Stem<typename Node::Lines>;
  static constexpr bool kReadsImage = true;
  static constexpr double kMacs = Numbers::kStemPieceMacs;

  static Plan plan(const Node& node, const MapShape& in, const Plan* nominal, std::size_t) {
    const auto lines = node.lines(in);
    return Plan(lines, node.window,
                nominal != nullptr ? nominal->panels() : Plan::choose(lines, node.window, node.out_c));
  }
  static std::size_t halo(const Node&, const Plan&) { return 0; }
  static void pack(const Plan& plan, const Node& node, typename Plan::Packed* packed, int threads) {
    plan.pack_weights(node.first_weight(), packed, threads);
  }
  static std::size_t scratch_bytes(const Plan& plan) { return plan.scratch_bytes(); }
  static void run(const Plan& plan, const Operands& at, const typename Plan::Map&, const typename Plan::Packed* weights,
                  const typename Plan::Output* outputs, const typename Plan::Map& out, std::byte* scratch,
                  const Tile& items, bool first) {
    const Image image = at.image.bytes != nullptr ? at.image : Image{at.input(0)};
    plan.run_items(image, weights, *outputs, out, scratch, items, first);
  }
};

// Node::Outputs makes what the driver does with its sums in a run.
template <class Method, class Node>
class ConvStep final : public Step {
 public:
  using Plan = typename Method::Plan;
  using Packed = typename Node::Numbers::Packed;
  using Outputs = typename Node::Outputs;

  ConvStep(Plan plan, double macs, std::size_t members, const ValueType& in, const ValueType& out,
           const Packed* weights, Outputs outputs)
      : Step({plan.items(), members, std::max(macs / Method::kMacs, bytes_size(plan.weight_bytes()))}),
        plan_(std::move(plan)),
        in_(in.map()),
        out_(out.map()),
        in_element_(in.element),
        out_element_(out.element),
        weights_(weights),
        outputs_(std::move(outputs)) {}
  std::size_t scratch_bytes() const override { return Method::scratch_bytes(plan_); }

 private:
  void run_items(const Operands& at, std::byte* scratch, const Tile& items, bool first) const override {
    const auto in = Node::Numbers::map(at.inputs[0], in_, in_element_),
               out = Node::Numbers::map(at.outputs[0], out_, out_element_);
    outputs_.use(
        at, [&](const auto* outputs) { Method::run(plan_, at, in, weights_, outputs, out, scratch, items, first); });
  }

  Plan plan_;
  MapShape in_, out_;
  std::size_t in_element_, out_element_;
  const Packed* weights_;
  Outputs outputs_;
};

}  // namespace qarepvgg
