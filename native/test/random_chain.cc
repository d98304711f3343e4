#include "test/random_chain.h"

#include <cmath>
#include <limits>

#include "test/tensors.h"

namespace qarepvgg::test {
namespace {

class Builder {
 public:
  Builder(Rng& rng, std::size_t max_side) : rng_(rng), chain_(random_start(rng, max_side)) {
    shape_ = {1, chain_.channels(), chain_.size().h, chain_.size().w};
  }

  Chain build() {
    for (std::size_t count = rng_.between(1, 7); count > 0; --count) {
      if (rng_.chance(0.12))
        add_squeeze_excite();
      else if (rng_.chance(0.12))
        add_global_average();
      else
        add_convolution();
    }
    return std::move(chain_);
  }

 private:
  void add_convolution() {
    const ConvShape conv = random_link(rng_, shape_);
    const Attributes attributes = relu_if(rng_.chance(0.6), window_attributes(conv.window(), conv.groups));
    const std::size_t depth = conv.in_c / conv.groups;
    const double fan_in = static_cast<double>(depth * conv.kernel * conv.kernel);
    std::vector<ValueId> constants{tensor({conv.out_c, depth, conv.kernel, conv.kernel}, std::sqrt(6.0 / fan_in))};
    if (rng_.chance(0.7)) constants.push_back(tensor({conv.out_c}, 1));
    add("conv", constants, conv.output(), attributes);
  }

  void add_squeeze_excite() {
    const std::size_t reduced = rng_.between(1, 9), c = shape_.c;
    const Attributes attributes = relu_if(rng_.chance(0.5));
    const ValueId down = tensor({reduced, c}, 1), down_bias = tensor({reduced}, 1), up = tensor({c, reduced}, 1),
                  up_bias = tensor({c}, 1);
    add("squeezeExcite", {down, down_bias, up, up_bias}, shape_, attributes);
  }

  void add_global_average() { add("globalPool", {}, {1, shape_.c, 1, 1}, global_average_attributes()); }

  void add(const std::string& op, const std::vector<ValueId>& constants, const MapShape& out,
           const Attributes& attributes) {
    chain_.add(op, constants, {Dtype::kFloat32, {out.n, out.c, out.h, out.w}}, attributes);
    shape_ = out;
  }

  ValueId tensor(const Dims& dims, double bound) {
    std::vector<float> values(elements_of(dims));
    for (float& value : values) value = static_cast<float>(rng_.uniform(-bound, bound));
    return chain_.constant(Dtype::kFloat32, dims, values);
  }

  Rng& rng_;
  Chain chain_;
  MapShape shape_;
};

}  // namespace

ConvShape random_link(Rng& rng, const MapShape& in) {
  for (;;) {
    ConvShape conv{1, in.c, in.h, in.w, 0, 0, 0, 0, 0, 0};
    conv.out_c = rng.chance(0.7) ? 16 * rng.between(1, 4) : rng.between(1, 40);
    conv.kernel = in.h * in.w == 1 && rng.chance(0.7) ? 1 : rng.chance(0.7) ? 3 : rng.between(1, 5);
    conv.dilation = rng.chance(0.1) ? 2 : 1;
    conv.stride = rng.chance(0.7) ? 1 : 2;
    conv.padding = rng.chance(0.9) ? conv.reach() / 2 : rng.between(0, 2);
    conv.groups = rng.chance(0.7) ? 1 : rng.between(2, 4);
    if (conv.in_c % conv.groups != 0 || conv.out_c % conv.groups != 0) conv.groups = 1;
    if (in.h + 2 * conv.padding > conv.reach() && in.w + 2 * conv.padding > conv.reach()) return conv;
  }
}

Chain random_start(Rng& rng, std::size_t max_side) {
  const std::size_t c = rng.chance(0.6)   ? rng.between(1, 4)
                        : rng.chance(0.5) ? 16 * rng.between(1, 3)
                                          : random_channels(rng);
  const std::size_t h = rng.between(1, max_side), w = rng.between(1, max_side);
  Chain chain(c, {h, w});
  chain.spec.together = rng.between(1, 10);  // also more than a thread takes together
  return chain;
}

Chain random_chain(Rng& rng, std::size_t max_side) { return Builder(rng, max_side).build(); }

reference::Values random_image(Rng& rng, const Chain& chain, ImageSize size) {
  return random_values(rng, chain.channels() * size.h * size.w, Data::kReals);
}

std::string describe(const Chain& chain) {
  std::string text = qarepvgg::text_of(chain.spec.inputs[0].dims);
  for (const NodeSpec& node : chain.spec.nodes) {
    text += text_of(" > ", node.op);
    if (node.attributes.has("kernel"))
      for (const char* name : {"kernel", "strides", "pads", "dilations"})
        text += text_of(" ", name, " ", node.attributes.sizes(name)[0]);
    text += " " + qarepvgg::text_of(node.outputs[0].dims);
  }
  return text;
}

ProgramSpec program_of(const Chain& chain, ImageSize size, std::vector<float>& state) {
  ProgramSpec spec;
  spec.input = {1, chain.channels(), size.h, size.w};
  spec.threads = chain.spec.threads;
  for (const Constant& constant : chain.graph(Algorithm::kAuto).constants) {
    state.push_back(std::numeric_limits<float>::quiet_NaN());
    spec.tensors.push_back({state.size(), constant.type.dims});
    const auto* values = reinterpret_cast<const float*>(constant.data);
    state.insert(state.end(), values, values + constant.type.elements());
  }
  spec.nodes = chain.graph(Algorithm::kAuto).nodes;
  spec.state_length = state.size();
  return spec;
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
