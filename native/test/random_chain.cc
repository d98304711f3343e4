#include "test/random_chain.h"

#include <cmath>
#include <limits>

#include "test/tensors.h"

namespace qarepvgg::test {
namespace {

class Builder {
 public:
  Builder(Rng& rng, std::size_t max_side) : rng_(rng) {
    c_ = rng.chance(0.6) ? rng.between(1, 4) : rng.chance(0.5) ? 16 * rng.between(1, 3) : random_channels(rng);
    h_ = rng.between(1, max_side);
    w_ = rng.between(1, max_side);
    ProgramSpec& spec = chain_.spec;
    spec.n = rng.between(1, 10);  // also more than a thread takes together
    spec.c = c_;
    spec.h = h_;
    spec.w = w_;
    spec.threads = 1;
  }

  RandomChain build() {
    for (std::size_t count = rng_.between(1, 7); count > 0; --count) {
      if (rng_.chance(0.12))
        add_squeeze_excite();
      else if (rng_.chance(0.12))
        add_global_average();
      else
        add_convolution();
    }
    chain_.spec.state_length = chain_.state.size();
    return std::move(chain_);
  }

 private:
  // Mostly shapes for which algorithms are chosen: whole cache lines of channels, 3x3, and 1x1 on single pixels.
  void add_convolution() {
    for (;;) {
      OpSpec op = make(OpKind::kConv);
      op.out_channels = rng_.chance(0.7) ? 16 * rng_.between(1, 4) : rng_.between(1, 40);
      op.kernel = h_ * w_ == 1 && rng_.chance(0.7) ? 1 : rng_.chance(0.7) ? 3 : rng_.between(1, 5);
      op.dilation = rng_.chance(0.1) ? 2 : 1;
      op.stride = rng_.chance(0.7) ? 1 : 2;
      op.padding = rng_.chance(0.9) ? op.dilation * (op.kernel - 1) / 2 : rng_.between(0, 2);
      op.groups = rng_.chance(0.7) ? 1 : rng_.between(2, 4);
      if (rng_.chance(0.6)) op.activation = Activation::relu();
      if (c_ % op.groups != 0 || op.out_channels % op.groups != 0) op.groups = 1;
      const std::size_t reach = op.dilation * (op.kernel - 1);
      if (h_ + 2 * op.padding <= reach || w_ + 2 * op.padding <= reach) continue;

      const std::size_t fan_in = c_ / op.groups * op.kernel * op.kernel;
      op.weight = tensor(op.out_channels * fan_in, std::sqrt(6.0 / static_cast<double>(fan_in)));
      if (rng_.chance(0.7)) op.bias = tensor(op.out_channels, 1);
      h_ = (h_ + 2 * op.padding - reach - 1) / op.stride + 1;
      w_ = (w_ + 2 * op.padding - reach - 1) / op.stride + 1;
      c_ = op.out_channels;
      chain_.spec.ops.push_back(std::move(op));
      return;
    }
  }

  void add_squeeze_excite() {
    OpSpec op = make(OpKind::kSqueezeExcite);
    op.reduced = rng_.between(1, 9);
    if (rng_.chance(0.5)) op.activation = Activation::relu();
    op.weight = tensor(op.reduced * c_, 1);
    op.bias = tensor(op.reduced, 1);
    op.up_weight = tensor(c_ * op.reduced, 1);
    op.up_bias = tensor(c_, 1);
    chain_.spec.ops.push_back(std::move(op));
  }

  void add_global_average() {
    chain_.spec.ops.push_back(make(OpKind::kGlobalAverage));
    h_ = w_ = 1;
  }

  OpSpec make(OpKind kind) const {
    OpSpec op;
    op.kind = kind;
    op.inputs = {chain_.spec.ops.size()};
    return op;
  }

  StateOffset tensor(std::size_t count, double bound) {
    chain_.state.resize(chain_.state.size() + rng_.between(0, 3), std::numeric_limits<float>::quiet_NaN());
    const StateOffset offset = chain_.state.size();
    for (std::size_t i = 0; i < count; ++i) chain_.state.push_back(static_cast<float>(rng_.uniform(-bound, bound)));
    return offset;
  }

  Rng& rng_;
  RandomChain chain_;
  std::size_t c_, h_, w_;
};

}  // namespace

reference::Values RandomChain::random_image(Rng& rng, ImageSize size) const {
  return random_values(rng, spec.c * size.h * size.w, Data::kReals);
}

RandomChain random_chain(Rng& rng, std::size_t max_side) { return Builder(rng, max_side).build(); }

std::string describe(const RandomChain& chain) {
  const ProgramSpec& spec = chain.spec;
  std::string text = text_of("[", spec.n, ", ", spec.c, ", ", spec.h, ", ", spec.w, "]");
  for (const OpSpec& op : spec.ops) {
    text += text_of(" > ", name_of(op.kind));
    if (op.kind == OpKind::kConv || op.kind == OpKind::kQuantizedConv)
      text += text_of(" ", op.kernel, "x", op.kernel, " to ", op.out_channels, " /", op.stride, " +", op.padding, " x",
                      op.dilation, " in ", op.groups, " groups");
  }
  return text;
}

std::vector<reference::Values> infer(Rng& rng, InferenceProgram& program, ImageSize size,
                                     const std::vector<reference::Values>& images, std::size_t count) {
  GuardedMemory memory(rng);
  const std::size_t floats = program.output_shape(size).elements();
  std::vector<ImageTask> tasks(count);
  for (std::size_t i = 0; i < count; ++i) {
    tasks[i].input.floats = memory.floats(images[i]);
    tasks[i].output = memory.floats(floats);
  }
  program.run(size, tasks.data(), count, std::atomic<bool>{false});
  std::vector<reference::Values> outputs;
  for (const ImageTask& task : tasks) outputs.push_back(read(task.output, floats));
  return outputs;
}

}  // namespace qarepvgg::test
