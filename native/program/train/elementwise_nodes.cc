#include "kernels/dispatch.h"
#include "ops/elementwise.h"
#include "ops/pooling.h"
#include "program/train/node.h"

namespace qarepvgg {
namespace {

class ElementwiseNode : public Node {
 public:
  ElementwiseNode(const OpSpec& spec, const MapShape& shape)
      : Node(spec), elements_(static_cast<double>(shape.elements())) {}
  double work() const override { return elements_; }

 private:
  double elements_;
};

class AddNode final : public ElementwiseNode {
 public:
  using ElementwiseNode::ElementwiseNode;

  bool overwrites_output_gradient() const override { return spec_.activation.any(); }

  void forward(const Run& run) override {
    const FeatureMap* operands[kMaxSummands];
    for (std::size_t i = 0; i < wiring_.inputs.size(); ++i) operands[i] = &x(i);
    add_maps(operands, wiring_.inputs.size(), spec_.activation.clamp(), y(), active_kernels(), run.team(work()));
  }

  void backward(const Run& run) override {
    const KernelTable& kernels = active_kernels();
    const int team = run.team(work());
    if (spec_.activation.any()) relu_backward(grad_y(), y(), false, grad_y(), kernels, team);
    for (std::size_t i = 0; i < wiring_.inputs.size(); ++i)
      if (grad_x(i).data != grad_y().data) scale_map(grad_y(), 1.0f, wiring_.accumulate[i], grad_x(i), kernels, team);
  }
};

class ScaleNode final : public ElementwiseNode {
 public:
  ScaleNode(const OpSpec& spec, const MapShape& shape) : ElementwiseNode(spec, shape), shape_(shape) {}

  bool backward_reads_input() const override { return true; }
  std::size_t backward_scratch_floats() const override { return sum_workspace_floats(shape_); }

  void forward(const Run& run) override {
    scale_map(x(), run.state[spec_.weight], false, y(), active_kernels(), run.team(work()));
  }

  void backward(const Run& run) override {
    const KernelTable& kernels = active_kernels();
    const int team = run.team(work());
    run.gradients[spec_.weight] += static_cast<float>(dot_maps(grad_y(), x(), wiring_.backward_scratch, kernels, team));
    scale_map(grad_y(), run.state[spec_.weight], wiring_.accumulate[0], grad_x(), kernels, team);
  }

 private:
  MapShape shape_;
};

class AveragePoolNode final : public ElementwiseNode {
 public:
  using ElementwiseNode::ElementwiseNode;

  std::size_t input_halo() const override { return 1; }
  std::size_t output_gradient_halo() const override { return 1; }

  void forward(const Run& run) override { average3x3(x(), false, y(), active_kernels(), run.team(9 * work())); }
  void backward(const Run& run) override {
    average3x3(grad_y(), wiring_.accumulate[0], grad_x(), active_kernels(), run.team(9 * work()));
  }
};

class ReluNode final : public ElementwiseNode {
 public:
  using ElementwiseNode::ElementwiseNode;

  bool backward_reads_output() const override { return true; }

  void forward(const Run& run) override {
    const FeatureMap* operand = &x();
    add_maps(&operand, 1, &kReluClamp, y(), active_kernels(), run.team(work()));
  }
  void backward(const Run& run) override {
    relu_backward(grad_y(), y(), wiring_.accumulate[0], grad_x(), active_kernels(), run.team(work()));
  }
};

class GlobalAverageNode final : public ElementwiseNode {
 public:
  using ElementwiseNode::ElementwiseNode;

  void forward(const Run& run) override {
    parallel_ranges(run.team(work()), x().shape.n, x().shape.n, [&](std::size_t begin, std::size_t end) {
      global_average(x(), y(), active_kernels(), {begin, end - begin});
    });
  }
  void backward(const Run& run) override {
    global_average_backward(grad_y(), wiring_.accumulate[0], grad_x(), run.team(work()));
  }
};

}  // namespace

NewNode make_elementwise_node(const OpSpec& spec, const std::vector<MapShape>& inputs) {
  const MapShape& shape = inputs.front();
  if (spec.activation.any() && spec.kind != OpKind::kAdd)
    fail(code::kInvalidArg, "expected an activation on a convolution, batch norm or sum only");
  switch (spec.kind) {
    case OpKind::kAdd:
      for (const MapShape& other : inputs)
        if (!other.same_dims(shape)) fail(code::kShape, "expected the operands of a sum to have the same dims");
      return {std::make_unique<AddNode>(spec, shape), shape};
    case OpKind::kScale:
      return {std::make_unique<ScaleNode>(spec, shape), shape};
    case OpKind::kAveragePool:
      return {std::make_unique<AveragePoolNode>(spec, shape), shape};
    case OpKind::kGlobalAverage:
      return {std::make_unique<GlobalAverageNode>(spec, shape), {shape.n, shape.c, 1, 1}};
    case OpKind::kRelu:
      return {std::make_unique<ReluNode>(spec, shape), shape};
    default:
      fail(code::kInvalidArg, "expected an elementwise op, received ", name_of(spec.kind));
  }
}

}  // namespace qarepvgg
