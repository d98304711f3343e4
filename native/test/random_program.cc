#include "test/random_program.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "ops/elementwise.h"
#include "test/reference_program.h"
#include "test/tensors.h"

namespace qarepvgg::test {
namespace {

class Builder {
 public:
  Builder(Rng& rng, const reference::Dims& least, const reference::Dims& most) : rng_(rng) {
    dims_ = {rng.between(least.n, most.n), rng.between(least.c, most.c), rng.between(least.h, most.h),
             rng.between(least.w, most.w)};
    program_.input = dims_;
    program_.spec.n = dims_.n;
    program_.spec.c = dims_.c;
    program_.spec.h = dims_.h;
    program_.spec.w = dims_.w;
  }

  RandomProgram build() {
    const std::size_t segments = rng_.between(1, 3);
    for (std::size_t i = 0; i < segments; ++i) {
      if (i > 0) rng_.chance(0.2) ? add_global_average() : change_shape();
      add_segment();
    }
    program_.output = dims_;
    program_.spec.state_length = program_.state.size();
    program_.spec.gradients = true;
    program_.spec.training = smallest_ >= 4 && rng_.chance(0.5);
    return std::move(program_);
  }

 private:
  // Adds ops that keep the shape and read any value since the last change of shape, then the sum of all values that
  // nothing reads.
  void add_segment() {
    readable_ = unread_ = {last()};
    for (std::size_t count = rng_.between(1, 7); count > 0; --count) {
      const ValueId input = rng_.chance(0.6) ? any(unread_) : any(readable_);
      switch (rng_.between(0, 7)) {
        case 0:
        case 1:
          add_convolution(input);
          break;
        case 2:
          add_batch_norm(input);
          if (rng_.chance(0.5)) add_batch_norm(last());  // consecutive ones share passes
          break;
        case 3:
          add_sum({input, any(readable_), any(readable_)});
          break;
        case 4:
          add_scale(input);
          break;
        case 5:
          add_squeeze_excite(input);
          break;
        default:
          add_plain(rng_.chance(0.5) ? OpKind::kAveragePool : OpKind::kRelu, input);
      }
    }
    while (unread_.size() > 1) {
      std::vector<ValueId> operands(
          unread_.begin(), unread_.begin() + static_cast<std::ptrdiff_t>(std::min(unread_.size(), kMaxSummands)));
      add_sum(std::move(operands));
    }
  }

  void add_convolution(ValueId input) {
    OpSpec op = convolution(input, dims_.c);
    op.stride = 1;
    op.padding = op.dilation * (op.kernel - 1) / 2;
    push(std::move(op));
  }

  // Adds a convolution with any stride and padding, to another number of channels.
  void change_shape() {
    for (;;) {
      OpSpec op = convolution(last(), rng_.between(1, 20));
      op.stride = rng_.between(1, 3);
      op.padding = rng_.between(0, op.dilation * (op.kernel - 1));
      const std::size_t reach = op.dilation * (op.kernel - 1), h = dims_.h + 2 * op.padding,
                        w = dims_.w + 2 * op.padding;
      if (h <= reach || w <= reach) continue;
      const reference::Dims out{dims_.n, op.out_channels, (h - reach - 1) / op.stride + 1,
                                (w - reach - 1) / op.stride + 1};
      unread_ = {last()};
      push(std::move(op));
      dims_ = out;
      return;
    }
  }

  void add_global_average() {
    unread_ = {last()};
    add_plain(OpKind::kGlobalAverage, last());
    dims_.h = dims_.w = 1;
  }

  OpSpec convolution(ValueId input, std::size_t out_channels) {
    constexpr std::size_t kKernels[]{1, 3, 3, 3, 5};
    OpSpec op;
    op.kind = OpKind::kConv;
    op.inputs = {input};
    op.out_channels = out_channels;
    op.kernel = rng_.pick(kKernels);
    op.dilation = rng_.chance(0.3) ? 2 : 1;
    op.groups = rng_.chance(0.6) ? 1 : rng_.between(1, 4);
    if (dims_.c % op.groups != 0 || out_channels % op.groups != 0) op.groups = 1;
    if (rng_.chance(0.3)) op.activation = Activation::relu();
    return op;
  }

  void add_batch_norm(ValueId input) {
    OpSpec op;
    op.kind = OpKind::kBatchNorm;
    op.inputs = {input};
    if (rng_.chance(0.5))
      op.inputs.push_back(any(readable_));
    else if (rng_.chance(0.5))
      op.activation = Activation::relu();
    op.eps = 0.5;  // keeps channels of nearly equal pixels well conditioned, also after several norms
    op.momentum = 0.3;
    smallest_ = std::min(smallest_, dims_.n * dims_.h * dims_.w);
    push(std::move(op));
  }

  void add_squeeze_excite(ValueId input) {
    OpSpec op;
    op.kind = OpKind::kSqueezeExcite;
    op.inputs = {input};
    op.reduced = rng_.between(1, 8);
    if (rng_.chance(0.3)) op.activation = Activation::relu();
    push(std::move(op));
  }

  void add_sum(std::vector<ValueId> inputs) {
    OpSpec op;
    op.kind = OpKind::kAdd;
    op.inputs = std::move(inputs);
    if (rng_.chance(0.3)) op.activation = Activation::relu();
    push(std::move(op));
  }

  void add_scale(ValueId input) {
    OpSpec op;
    op.kind = OpKind::kScale;
    op.inputs = {input};
    push(std::move(op));
  }

  void add_plain(OpKind kind, ValueId input) {
    OpSpec op;
    op.kind = kind;
    op.inputs = {input};
    push(std::move(op));
  }

  // Gives the op its tensors and appends it.
  void push(OpSpec op) {
    if (op.kind == OpKind::kConv) {
      const std::size_t fan_in = dims_.c / op.groups * op.kernel * op.kernel;
      const double bound = std::sqrt(3.0 / static_cast<double>(fan_in));
      op.weight = tensor(op.out_channels * fan_in, -bound, bound, true);
      if (rng_.chance(0.5)) op.bias = tensor(op.out_channels, -1, 1, true);
    } else if (op.kind == OpKind::kBatchNorm) {
      op.weight = tensor(dims_.c, 0.5, 1.5, true);
      op.bias = tensor(dims_.c, -1, 1, true);
      op.running_mean = tensor(dims_.c, -1, 1, false);
      op.running_var = tensor(dims_.c, 0.5, 2, false);
      op.batches = tensor(1, 0, 0, false);
    } else if (op.kind == OpKind::kScale) {
      op.weight = tensor(1, -1.5, 1.5, true);
    } else if (op.kind == OpKind::kSqueezeExcite) {
      op.weight = tensor(op.reduced * dims_.c, -1, 1, true);
      op.bias = tensor(op.reduced, -1, 1, true);
      op.up_weight = tensor(dims_.c * op.reduced, -1, 1, true);
      op.up_bias = tensor(dims_.c, -1, 1, true);
    }
    for (ValueId id : op.inputs) unread_.erase(std::remove(unread_.begin(), unread_.end(), id), unread_.end());
    program_.spec.ops.push_back(std::move(op));
    readable_.push_back(last());
    unread_.push_back(last());
  }

  StateOffset tensor(std::size_t count, double low, double high, bool trainable) {
    const auto append = [&](double value, bool is_trainable) {
      program_.state.push_back(static_cast<double>(static_cast<float>(value)));
      program_.trainable.push_back(is_trainable);
    };
    for (std::size_t gap = rng_.between(0, 3); gap > 0; --gap) append(std::numeric_limits<double>::quiet_NaN(), false);
    const StateOffset offset = program_.state.size();
    for (std::size_t i = 0; i < count; ++i) append(rng_.uniform(low, high), trainable);
    return offset;
  }

  ValueId last() const { return program_.spec.ops.size(); }
  ValueId any(const std::vector<ValueId>& values) { return values[rng_.between(0, values.size() - 1)]; }

  Rng& rng_;
  RandomProgram program_;
  reference::Dims dims_;
  std::vector<ValueId> readable_, unread_;                          // of the current shape
  std::size_t smallest_ = std::numeric_limits<std::size_t>::max();  // values per channel of a batch norm
};

std::optional<reference::Tensor> try_input(Rng& rng, const RandomProgram& program, double margin) {
  reference::Tensor input = program.random_input(rng);
  ReferenceProgram run(program.spec);
  reference::Values state = program.state;
  run.forward(input, state);
  if (run.margin() < margin) return std::nullopt;
  return input;
}

}  // namespace

reference::Tensor RandomProgram::random_input(Rng& rng) const { return random_tensor(rng, input, Data::kReals); }

reference::Tensor RandomProgram::random_output_gradient(Rng& rng) const {
  return random_tensor(rng, output, Data::kReals);
}

RandomProgram random_program(Rng& rng, const reference::Dims& least, const reference::Dims& most) {
  return Builder(rng, least, most).build();
}

reference::Tensor input_off_kinks(Rng& rng, const RandomProgram& program, double margin) {
  for (;;)
    if (auto input = try_input(rng, program, margin)) return *std::move(input);
}

RandomProgram random_program_off_kinks(Rng& rng, const reference::Dims& least, const reference::Dims& most,
                                       double margin) {
  for (;;) {
    RandomProgram program = random_program(rng, least, most);
    for (int attempts = 0; attempts < 10; ++attempts)
      if (try_input(rng, program, margin)) return program;
  }
}

}  // namespace qarepvgg::test
