// Functions of one number on every instruction set against the C++ library in double.
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/tensor_kernels.h"
#include "test/harness.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

constexpr double kAlpha = 0.75, kBeta = 1.25;

double softplus(double x) { return std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x))); }

struct Function {
  Unary kind;
  double (*evaluate)(double);
  double ulps;
  // Whether ulps are those of the argument, because small results are differences of larger numbers.
  bool of_argument = false;
};

constexpr std::array kFunctions{
    Function{Unary::kSigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, 4},
    Function{Unary::kSilu, [](double x) { return x / (1 + std::exp(-x)); }, 4},
    Function{Unary::kExp, [](double x) { return std::exp(x); }, 2},
    Function{Unary::kLog, [](double x) { return std::log(x); }, 2},
    Function{Unary::kTanh, [](double x) { return std::tanh(x); }, 2},
    Function{Unary::kErf, [](double x) { return std::erf(x); }, 3},
    Function{Unary::kSign, [](double x) { return x > 0   ? 1
                                                 : x < 0 ? -1
                                                         : x; }, 0},
    Function{Unary::kSoftplus, softplus, 3},
    Function{Unary::kSoftsign, [](double x) { return x / (1 + std::fabs(x)); }, 2},
    Function{Unary::kElu, [](double x) { return x < 0 ? kAlpha * std::expm1(x) : x; }, 3},
    Function{Unary::kSelu, [](double x) { return kBeta * (x < 0 ? kAlpha * std::expm1(x) : x); }, 3},
    Function{Unary::kMish, [](double x) { return x * std::tanh(softplus(x)); }, 5},
    Function{Unary::kGelu, [](double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); }, 4, true},
};

// Of every magnitude, and around 0.
std::vector<float> arguments(Rng& rng) {
  std::vector<float> x{0.0f,         -0.0f, 1e-45f, -1e-45f, 2e38f, -2e38f, std::numeric_limits<float>::infinity(),
                       std::nanf("")};
  for (std::size_t i = rng.between(1, 100); i > 0; --i) {
    const double size = rng.chance(0.5) ? rng.uniform(0, 10) : std::exp(rng.uniform(-87, 4.4));
    x.push_back(static_cast<float>(rng.chance(0.5) ? size : -size));
  }
  return x;
}

TEST(unary_functions) {
  test.repeat(1000, [](Rng& rng) {
    const std::vector<float> x = arguments(rng);
    std::vector<float> y(x.size());
    for (const Function& function : kFunctions)
      for (const KernelTable* kernels : float_kernels()) {
        const UnaryFunction unary{function.kind, static_cast<float>(kAlpha), static_cast<float>(kBeta)};
        CHECK(unary.has_kernel(), static_cast<int>(function.kind));
        kernels->tensor->unary(unary, x.data(), x.size(), y.data());
        for (std::size_t i = 0; i < x.size(); ++i) {
          const double expected = function.evaluate(static_cast<double>(x[i])), received = static_cast<double>(y[i]);
          // Results so small are denormal, or are differences of such numbers.
          const double least = static_cast<double>(std::numeric_limits<float>::min());
          const double ulp =
              std::fmax(std::fabs(function.of_argument ? static_cast<double>(x[i]) : expected), 64 * least) * 0x1p-23;
          const bool is_equal = std::isfinite(static_cast<float>(expected))
                                    ? std::fabs(received - expected) <= function.ulps * ulp
                                : std::isnan(expected) ? std::isnan(received)
                                                       : received == expected;
          CHECK(is_equal, kernels->isa, ", function ", static_cast<int>(function.kind), " of ", x[i], ": ", expected,
                ", received ", received);
        }
      }
  });
}

}  // namespace
}  // namespace qarepvgg::test
