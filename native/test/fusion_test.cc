// Fused convolutions against their branches, each evaluated alone in double.
#include "ops/fusion.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "reference/batch_norm.h"
#include "reference/convolution.h"
#include "reference/elementwise.h"
#include "test/tensors.h"

namespace qarepvgg::test {
namespace {

using Floats = std::vector<float>;

Floats random_floats(Rng& rng, std::size_t count, double low, double high) {
  Floats values(count);
  for (float& value : values) value = static_cast<float>(rng.uniform(low, high));
  return values;
}

reference::Values wide(const Floats& values) { return {values.begin(), values.end()}; }

// A batch norm in both forms. Variances range from 1e-10 to 1e10.
struct Norm {
  Floats weight, bias, mean, var;
  double eps = 1e-5;

  Norm(Rng& rng, std::size_t channels)
      : weight(random_floats(rng, channels, -2, 2)),
        bias(random_floats(rng, channels, -2, 2)),
        mean(random_floats(rng, channels, -2, 2)),
        var(channels) {
    for (float& value : var)
      value = static_cast<float>(rng.chance(0.2) ? std::pow(10, rng.uniform(-10, 10)) : rng.uniform(0.1, 3));
  }
  FoldedBatchNorm folded() const { return {weight.data(), bias.data(), mean.data(), var.data(), eps}; }
  reference::Tensor apply(const reference::Tensor& x) const {
    const reference::BatchNorm norm{wide(weight), wide(bias), wide(mean), wide(var), 0, eps, 0};
    return reference::normalize(x, norm, {norm.running_mean, norm.running_var});
  }
};

// Adds random branches to a fusion, and evaluates the same branches one by one.
class Block {
 public:
  Block(Rng& rng, std::size_t groups, std::size_t in_depth, std::size_t out_depth)
      : rng_(rng),
        groups_(groups),
        out_channels_(groups * out_depth),
        x_(random_tensor(rng, {1, groups * in_depth, rng.between(1, 5), rng.between(1, 5)}, Data::kReals)),
        sum_(reference::Dims{1, out_channels_, x_.dims.h, x_.dims.w}),
        fusion_(x_.dims.c, out_channels_, groups) {
    const bool square = in_depth == out_depth;
    do {
      if (rng.chance(0.7)) add_convolution(3);
      if (rng.chance(0.7)) add_convolution(1);
      if (square && rng.chance(0.5)) add_plain(x_, &Fusion::add_identity);
      if (square && rng.chance(0.3)) add_plain(reference::average3x3(x_), &Fusion::add_average);
    } while (branches_ == 0);
    if (rng.chance(0.5)) {
      post_ = std::make_unique<Norm>(rng, out_channels_);
      fusion_.set_post_batch_norm(post_->folded());
      sum_ = post_->apply(sum_);
    }
  }

  void check() const {
    Floats weight(fusion_.weight_elements()), bias(out_channels_);
    fusion_.fuse_into(weight.data(), bias.data());
    const reference::Convolution conv = convolution(3);
    const reference::Tensor fused = reference::convolve(x_, wide(weight), wide(bias), conv);
    // Every fused number is rounded once, so the error is at most half a unit in the last place of each term. Rounding
    // to double in the branches may show if they cancel.
    const auto magnitudes = [](reference::Values values) {
      for (double& value : values) value = std::abs(value);
      return values;
    };
    const reference::Tensor terms =
        reference::convolve({x_.dims, magnitudes(x_.data)}, magnitudes(wide(weight)), magnitudes(wide(bias)), conv);
    for (std::size_t i = 0; i < fused.data.size(); ++i) {
      const double tolerance = terms.data[i] * kEpsilon / 2 + largest_branch_ * 1e-14;
      CHECK(std::abs(fused.data[i] - sum_.data[i]) <= tolerance, "received ", fused.data[i], ", expected ",
            sum_.data[i], " +- ", tolerance, ", ", x_.dims, " to ", out_channels_, " channels in ", groups_, " groups");
    }
  }

 private:
  reference::Convolution convolution(std::size_t kernel) const {
    return {out_channels_, kernel, 1, kernel / 2, 1, groups_};
  }

  void add_convolution(std::size_t kernel) {
    const Floats& weight = keep(random_floats(rng_, out_channels_ * (x_.dims.c / groups_) * kernel * kernel, -1, 1));
    const Floats& bias = keep(random_floats(rng_, rng_.chance(0.3) ? out_channels_ : 0, -1, 1));
    const double scale = rng_.chance(0.3) ? rng_.uniform(-2, 2) : 1.0;
    const Norm* norm = random_norm();
    const auto folded = folded_of(norm);
    fusion_.add_convolution(weight.data(), kernel, bias.empty() ? nullptr : bias.data(), scale,
                            folded ? &*folded : nullptr);
    add_to_sum(reference::scale(reference::convolve(x_, wide(weight), wide(bias), convolution(kernel)), scale), norm);
  }

  void add_plain(const reference::Tensor& branch, void (Fusion::*add)(const FoldedBatchNorm*)) {
    const Norm* norm = random_norm();
    const auto folded = folded_of(norm);
    (fusion_.*add)(folded ? &*folded : nullptr);
    add_to_sum(branch, norm);
  }

  // Keeps arrays alive, because the fusion reads them only at its end.
  const Floats& keep(Floats values) { return kept_.emplace_back(std::move(values)); }

  static std::optional<FoldedBatchNorm> folded_of(const Norm* norm) {
    return norm != nullptr ? std::optional(norm->folded()) : std::nullopt;
  }

  const Norm* random_norm() {
    if (rng_.chance(0.3)) return nullptr;
    return &norms_.emplace_back(rng_, out_channels_);
  }

  void add_to_sum(const reference::Tensor& branch, const Norm* norm) {
    const reference::Tensor normalized = norm != nullptr ? norm->apply(branch) : branch;
    sum_ = reference::add({&sum_, &normalized});
    largest_branch_ = std::max(largest_branch_, largest(normalized.data));
    ++branches_;
  }

  Rng& rng_;
  std::size_t groups_, out_channels_;
  reference::Tensor x_, sum_;
  Fusion fusion_;
  std::deque<Floats> kept_;
  std::deque<Norm> norms_;
  std::unique_ptr<Norm> post_;
  double largest_branch_ = 0;
  int branches_ = 0;
};

TEST(fusion_equals_branches) {
  test.repeat(2000, [](Rng& rng) {
    const std::size_t groups = rng.chance(0.5) ? 1 : rng.between(2, 6), in_depth = rng.between(1, 12);
    const std::size_t out_depth = rng.chance(0.6) ? in_depth : rng.between(1, 12);
    Block(rng, groups, in_depth, out_depth).check();
  });
}

TEST(fusion_errors) {
  CHECK_EQUAL(code_of([] { Fusion(4, 4, 3); }), code::kInvalidArg, "groups that do not divide");
  CHECK_EQUAL(code_of([] { Fusion(4, 6, 4); }), code::kInvalidArg, "groups that do not divide the output");
  CHECK_EQUAL(code_of([] { Fusion(4, 4, 0); }), code::kInvalidArg, "no groups");
  CHECK_EQUAL(code_of([] { Fusion(0, 4, 1); }), code::kInvalidArg, "no input");
  CHECK_EQUAL(code_of([] { Fusion(4, 0, 1); }), code::kInvalidArg, "no output");
  CHECK_EQUAL(code_of([] { Fusion(std::size_t{1} << 31, std::size_t{1} << 31, 1); }), code::kSizeOverflow, "2^62 x 9");
  CHECK_EQUAL(code_of([] { Fusion(4, 8, 1).add_identity(nullptr); }), code::kInvalidArg, "identity");
  CHECK_EQUAL(code_of([] { Fusion(4, 8, 1).add_average(nullptr); }), code::kInvalidArg, "average");
}

TEST(fusion_names_channels_that_are_not_finite) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(), kHuge = std::numeric_limits<float>::max();
  const Floats ones(2, 1.0f), zeros(2, 0.0f);
  for (const Floats& var : {Floats{1, -1}, Floats{1, kNaN}}) {
    Fusion fusion(2, 2, 1);
    const FoldedBatchNorm norm{ones.data(), zeros.data(), zeros.data(), var.data(), 0};
    fusion.add_identity(&norm);
    Floats weight(fusion.weight_elements()), bias(2);
    CHECK_EQUAL(code_of([&] { fusion.fuse_into(weight.data(), bias.data()); }), code::kNonFinite, "variance ", var[1]);
  }
  Fusion overflow(2, 2, 1);
  const Floats huge(4, kHuge);
  overflow.add_convolution(huge.data(), 1, nullptr, 2.0, nullptr);
  Floats weight(overflow.weight_elements()), bias(2);
  std::string message;
  try {
    overflow.fuse_into(weight.data(), bias.data());
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK(message.find("channel 0") != std::string::npos, "a weight of twice the largest float: '", message, "'");
}

}  // namespace
}  // namespace qarepvgg::test
