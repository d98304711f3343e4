// Cross-entropy with label smoothing against its definition, and its gradient against central differences.
#include "ops/loss.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "test/guarded_memory.h"
#include "test/tensors.h"

namespace qarepvgg::test {
namespace {

struct Case {
  std::size_t rows, classes;
  double smoothing;
  reference::Values logits;
  std::vector<std::int32_t> labels;
};

Case random_case(Rng& rng) {
  constexpr double kRanges[]{1, 1, 10, 200};
  Case c{rng.between(1, 9), rng.between(1, 40), rng.chance(0.5) ? 0.0 : rng.uniform(0, 1), {}, {}};
  const double range = rng.pick(kRanges);
  c.logits = random_values(rng, c.rows * c.classes, Data::kReals);
  for (double& logit : c.logits) logit = static_cast<double>(static_cast<float>(range * logit));
  for (std::size_t row = 0; row < c.rows; ++row)
    c.labels.push_back(static_cast<std::int32_t>(rng.between(0, c.classes - 1)));
  return c;
}

// Mean over rows of -sum_k target_k * log(softmax_k), in long double.
long double definition(const Case& c, const reference::Values& logits) {
  long double loss = 0;
  for (std::size_t row = 0; row < c.rows; ++row) {
    const double* z = logits.data() + row * c.classes;
    const double top = *std::max_element(z, z + c.classes);
    long double sum = 0;
    for (std::size_t k = 0; k < c.classes; ++k) sum += std::exp(static_cast<long double>(z[k] - top));
    for (std::size_t k = 0; k < c.classes; ++k) {
      const bool is_label = static_cast<std::size_t>(c.labels[row]) == k;
      const long double target = c.smoothing / static_cast<double>(c.classes) + (is_label ? 1 - c.smoothing : 0.0);
      loss -= target * (static_cast<long double>(z[k] - top) - std::log(sum));
    }
  }
  return loss / static_cast<long double>(c.rows);
}

TEST(cross_entropy_loss) {
  test.repeat(1000, [](Rng& rng) {
    const Case c = random_case(rng);
    GuardedMemory memory(rng);
    float* gradient = memory.floats(c.logits.size());
    const LossResult result =
        cross_entropy(memory.floats(c.logits), c.labels.data(), c.rows, c.classes, c.smoothing, gradient);
    const std::string where = text_of(c.rows, " rows of ", c.classes, " classes, smoothing ", c.smoothing);
    const double expected = static_cast<double>(definition(c, c.logits));
    CHECK(std::abs(result.loss - expected) <= 1e-12 * std::max(1.0, largest(c.logits)), where, ": received ",
          result.loss, ", expected ", expected);

    std::size_t correct = 0;
    for (std::size_t row = 0; row < c.rows; ++row) {
      const auto first = c.logits.begin() + static_cast<std::ptrdiff_t>(row * c.classes);
      correct += std::max_element(first, first + static_cast<std::ptrdiff_t>(c.classes)) - first == c.labels[row];
    }
    CHECK_EQUAL(result.correct, correct, where);

    for (std::size_t i = 0; i < c.logits.size(); i += rng.between(1, 1 + c.logits.size() / 8)) {
      constexpr double kStep = 1e-5;
      reference::Values above = c.logits, below = c.logits;
      above[i] += kStep;
      below[i] -= kStep;
      const double slope = static_cast<double>(definition(c, above) - definition(c, below)) / (2 * kStep);
      CHECK(std::abs(static_cast<double>(gradient[i]) - slope) <= 1e-6, where, ", logit ", i, ": received ",
            gradient[i], ", expected ", slope);
    }
  });
}

// A number that is not finite shows in the loss or in the gradient.
TEST(cross_entropy_of_specials) {
  test.repeat(500, [](Rng& rng) {
    Case c = random_case(rng);
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    constexpr double kSpecials[]{std::numeric_limits<double>::quiet_NaN(), kInfinity};
    c.logits[rng.between(0, c.logits.size() - 1)] = rng.pick(kSpecials);
    GuardedMemory memory(rng);
    const LossResult result = cross_entropy(memory.floats(c.logits), c.labels.data(), c.rows, c.classes, c.smoothing,
                                            memory.floats(c.logits.size()));
    CHECK(!std::isfinite(result.loss), "a loss of ", result.loss);
    CHECK(result.correct <= c.rows, result.correct, " of ", c.rows);
  });
}

}  // namespace
}  // namespace qarepvgg::test
