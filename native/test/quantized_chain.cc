#include "test/quantized_chain.h"

#include <cmath>

#include "test/quantized_cases.h"

namespace qarepvgg::test {
namespace {

class Builder {
 public:
  Builder(Rng& rng, std::size_t max_side) : rng_(rng) {
    ProgramSpec& spec = chain_.spec;
    spec.n = rng.between(1, 10);  // also more than a thread takes together
    spec.c = c_ = rng.chance(0.6) ? rng.between(1, 4) : rng.chance(0.5) ? 16 * rng.between(1, 3) : random_channels(rng);
    spec.h = h_ = rng.between(1, max_side);
    spec.w = w_ = rng.between(1, max_side);
    spec.threads = 1;
  }

  RandomChain build() {
    for (std::size_t count = rng_.between(1, 8); count > 0; --count) add();
    if (written_) add_dequantize();
    chain_.spec.state_length = chain_.state.size();
    return std::move(chain_);
  }

 private:
  void add() {
    if (!written_) return rng_.chance(0.2) ? add_float_convolution() : add_quantize();
    if (rng_.chance(0.08)) return add_dequantize();
    if (rng_.chance(0.15)) return add_global_average();
    add_convolution();
  }

  OpSpec& append(OpKind kind) {
    OpSpec op;
    op.kind = kind;
    op.inputs = {chain_.spec.ops.size()};
    op.from = written_;
    chain_.spec.ops.push_back(op);
    return chain_.spec.ops.back();
  }

  void add_quantize() { write_integers(append(OpKind::kQuantize), random_quantization(rng_)); }

  void write_integers(OpSpec& op, const std::optional<Quantization>& as) { op.to = written_ = as; }

  void add_dequantize() {
    append(OpKind::kDequantize);
    written_.reset();
  }

  void add_global_average() {
    // Half of the time, sums end exactly between two integers.
    const Quantization any = random_quantization(rng_);
    const double ties = 2.0 * static_cast<double>(written_->scale()) / static_cast<double>(h_ * w_);
    const Quantization to(rng_.chance(0.5) ? ties : static_cast<double>(any.scale()),
                          static_cast<double>(any.zero_point()), "a test");
    write_integers(append(OpKind::kQuantizedGlobalAverage), to);
    h_ = w_ = 1;
  }

  // Its weights select channels, so no sum is rounded.
  void add_float_convolution() {
    OpSpec& op = append(OpKind::kConv);
    op.out_channels = rng_.between(1, 40);
    op.kernel = op.stride = op.dilation = op.groups = 1;
    op.weight = chain_.state.size();
    for (std::size_t out = 0; out < op.out_channels; ++out)
      for (std::size_t in = 0; in < c_; ++in) chain_.state.push_back(in == out % c_ ? 0.5f : 0.0f);
    c_ = op.out_channels;
  }

  void add_convolution() {
    for (;;) {
      ConvShape shape{1, c_, h_, w_, 0, 0, 0, 0, 0, 0};
      shape.out_c = rng_.chance(0.7) ? 16 * rng_.between(1, 4) : rng_.between(1, 40);
      shape.kernel = h_ * w_ == 1 && rng_.chance(0.7) ? 1 : rng_.chance(0.8) ? 3 : rng_.between(1, 5);
      shape.dilation = rng_.chance(0.1) ? 2 : 1;
      shape.stride = rng_.chance(0.7) ? 1 : 2;
      shape.padding = rng_.chance(0.9) ? shape.reach() / 2 : rng_.between(0, 2);
      shape.groups = rng_.chance(0.7) ? 1 : rng_.between(2, 4);
      if (c_ % shape.groups != 0 || shape.out_c % shape.groups != 0) shape.groups = 1;
      if (h_ + 2 * shape.padding <= shape.reach() || w_ + 2 * shape.padding <= shape.reach()) continue;

      const QuantizedCase c = random_quantized_case(rng_, shape, *written_, rng_.chance(0.8));
      OpSpec& op = append(OpKind::kQuantizedConv);
      op.out_channels = shape.out_c;
      op.kernel = shape.kernel;
      op.stride = shape.stride;
      op.padding = shape.padding;
      op.dilation = shape.dilation;
      op.groups = shape.groups;
      write_integers(op, c.to);
      if (c.relu) op.activation = Activation::relu();
      op.quantized = c.weights;
      h_ = shape.out_h();
      w_ = shape.out_w();
      c_ = shape.out_c;
      return;
    }
  }

  Rng& rng_;
  RandomChain chain_;
  std::optional<Quantization> written_;
  std::size_t c_, h_, w_;
};

}  // namespace

RandomChain random_quantized_chain(Rng& rng, std::size_t max_side) { return Builder(rng, max_side).build(); }

}  // namespace qarepvgg::test
