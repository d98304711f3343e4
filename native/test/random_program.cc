#include "test/random_program.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "ops/conv_shape.h"
#include "ops/elementwise.h"
#include "test/program_maker.h"
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
    maker_.spec.input = {dims_.n, dims_.c, dims_.h, dims_.w};
  }

  RandomProgram build() {
    const std::size_t segments = rng_.between(1, 3);
    for (std::size_t i = 0; i < segments; ++i) {
      if (i > 0) rng_.chance(0.2) ? add_global_average() : change_shape();
      add_segment();
    }
    program_.output = dims_;
    program_.spec = maker_.finish(program_.state.size());
    program_.spec.gradients = true;
    program_.spec.training = smallest_ >= 4 && rng_.chance(0.5);
    return std::move(program_);
  }

 private:
  // Adds nodes that keep the shape and read any value since the last change of shape, then the sum of all values that
  // nothing reads.
  void add_segment() {
    readable_ = unread_ = {maker_.last()};
    for (std::size_t count = rng_.between(1, 7); count > 0; --count) {
      const MapId input = rng_.chance(0.6) ? any(unread_) : any(readable_);
      switch (rng_.between(0, 7)) {
        case 0:
        case 1:
          rng_.chance(0.2) ? add_identity(input) : add_convolution(input);
          break;
        case 2:
          add_batch_norm(input);
          if (rng_.chance(0.5)) add_batch_norm(maker_.last());  // consecutive ones share passes
          break;
        case 3:
          add_sum({input, any(readable_), any(readable_)});
          break;
        case 4:
          push("scale", {input, tensor({1}, -1.5, 1.5, true)});
          break;
        case 5:
          add_squeeze_excite(input);
          break;
        default:
          push("averagePool", {input}, average_attributes());
      }
    }
    while (unread_.size() > 1)
      add_sum({unread_.begin(), unread_.begin() + signed_size(std::min(unread_.size(), kMaxSummands))});
  }

  void add_convolution(MapId input) {
    ConvShape conv = convolution(dims_.c);
    conv.stride = 1;
    conv.padding = conv.reach() / 2;
    push_convolution(input, conv);
  }

  // A 1x1 convolution that adds its input.
  void add_identity(MapId input) {
    const std::size_t groups = dims_.c % 2 == 0 && rng_.chance(0.3) ? 2 : 1;
    push_convolution(input, {dims_.n, dims_.c, dims_.h, dims_.w, dims_.c, 1, 1, 0, 1, groups}, true);
  }

  // Adds a convolution with any stride and padding, to another number of channels.
  void change_shape() {
    for (;;) {
      ConvShape conv = convolution(rng_.between(1, 20));
      conv.stride = rng_.between(1, 3);
      conv.padding = rng_.between(0, conv.reach());
      if (dims_.h + 2 * conv.padding <= conv.reach() || dims_.w + 2 * conv.padding <= conv.reach()) continue;
      unread_ = {maker_.last()};
      push_convolution(maker_.last(), conv);
      dims_ = {dims_.n, conv.out_c, conv.out_h(), conv.out_w()};
      return;
    }
  }

  void add_global_average() {
    unread_ = {maker_.last()};
    push("globalPool", {maker_.last()}, global_average_attributes());
    dims_.h = dims_.w = 1;
  }

  ConvShape convolution(std::size_t out_channels) {
    constexpr std::size_t kKernels[]{1, 3, 3, 3, 5};
    ConvShape conv{dims_.n, dims_.c, dims_.h, dims_.w, out_channels, rng_.pick(kKernels), 1, 0, 1, 1};
    if (rng_.chance(0.3)) conv.dilation = 2;
    if (rng_.chance(0.4)) conv.groups = rng_.between(1, 4);
    if (conv.in_c % conv.groups != 0 || conv.out_c % conv.groups != 0) conv.groups = 1;
    return conv;
  }

  void push_convolution(MapId input, const ConvShape& conv, bool identity = false) {
    Attributes attributes = window_attributes(conv.window(), conv.groups);
    if (identity) attributes.set("identity", 1.0);
    const std::size_t depth = conv.in_c / conv.groups;
    const double bound = std::sqrt(3.0 / static_cast<double>(depth * conv.kernel * conv.kernel));
    std::vector<ValueId> inputs{input, tensor({conv.out_c, depth, conv.kernel, conv.kernel}, -bound, bound, true)};
    if (rng_.chance(0.5)) inputs.push_back(tensor({conv.out_c}, -1, 1, true));
    push("conv", inputs, relu_if(rng_.chance(0.3), attributes));
  }

  void add_batch_norm(MapId input) {
    const Dims channels{dims_.c};
    const ValueId weight = tensor(channels, 0.5, 1.5, true), bias = tensor(channels, -1, 1, true),
                  mean = tensor(channels, -1, 1, false), variance = tensor(channels, 0.5, 2, false),
                  batches = tensor({}, 0, 0, false);
    std::vector<ValueId> inputs{input, weight, bias, mean, variance, batches};
    const bool has_addend = rng_.chance(0.5);
    if (has_addend) inputs.push_back(any(readable_));
    smallest_ = std::min(smallest_, dims_.n * dims_.h * dims_.w);
    // The epsilon keeps channels of nearly equal pixels well conditioned, also after several norms.
    push("batchNorm", inputs, relu_if(!has_addend && rng_.chance(0.5), batch_norm_attributes(0.5, 0.3)));
  }

  void add_squeeze_excite(MapId input) {
    const std::size_t reduced = rng_.between(1, 8);
    const ValueId down = tensor({reduced, dims_.c}, -1, 1, true), down_bias = tensor({reduced}, -1, 1, true),
                  up = tensor({dims_.c, reduced, 1, 1}, -1, 1, true), up_bias = tensor({dims_.c}, -1, 1, true);
    push("squeezeExcite", {input, down, down_bias, up, up_bias}, relu_if(rng_.chance(0.3)));
  }

  void add_sum(const std::vector<ValueId>& inputs) { push("sum", inputs, relu_if(rng_.chance(0.3))); }

  void push(const std::string& op, const std::vector<ValueId>& inputs, const Attributes& attributes = {}) {
    for (ValueId id : inputs) unread_.erase(std::remove(unread_.begin(), unread_.end(), id), unread_.end());
    const MapId output = maker_.node(op, inputs, attributes);
    readable_.push_back(output);
    unread_.push_back(output);
  }

  ValueId tensor(const Dims& dims, double low, double high, bool trainable) {
    const auto append = [&](double value, bool is_trainable) {
      program_.state.push_back(static_cast<double>(static_cast<float>(value)));
      program_.trainable.push_back(is_trainable);
    };
    for (std::size_t gap = rng_.between(0, 3); gap > 0; --gap) append(std::numeric_limits<double>::quiet_NaN(), false);
    const StateOffset offset = program_.state.size();
    for (std::size_t i = 0; i < elements_of(dims); ++i) append(rng_.uniform(low, high), trainable);
    return maker_.tensor(offset, dims);
  }

  MapId any(const std::vector<MapId>& values) { return values[rng_.between(0, values.size() - 1)]; }

  Rng& rng_;
  RandomProgram program_;
  ProgramMaker maker_;
  reference::Dims dims_;
  std::vector<MapId> readable_, unread_;                            // of the current shape
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
