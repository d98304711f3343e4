#include "ops/loss.h"

#include <algorithm>
#include <cmath>

namespace qarepvgg {

LossResult cross_entropy(const float* logits, const std::int32_t* labels, std::size_t rows, std::size_t classes,
                         double smoothing, float* gradient) {
  LossResult result{0, 0};
  const double uniform = smoothing / static_cast<double>(classes), mean = 1.0 / static_cast<double>(rows);
  for (std::size_t row = 0; row < rows; ++row, logits += classes, gradient += classes) {
    const std::size_t label = static_cast<std::size_t>(labels[row]);
    const float* best = std::max_element(logits, logits + classes);
    const double top = static_cast<double>(*best);
    double sum = 0, total = 0;
    for (std::size_t k = 0; k < classes; ++k) {
      sum += std::exp(static_cast<double>(logits[k]) - top);
      total += static_cast<double>(logits[k]);
    }
    const double log_sum = std::log(sum) + top;
    result.loss += (log_sum - (1 - smoothing) * static_cast<double>(logits[label]) - uniform * total) * mean;
    result.correct += static_cast<std::size_t>(best - logits) == label ? 1 : 0;
    for (std::size_t k = 0; k < classes; ++k) {
      const double target = uniform + (k == label ? 1 - smoothing : 0);
      gradient[k] = static_cast<float>((std::exp(static_cast<double>(logits[k]) - log_sum) - target) * mean);
    }
  }
  return result;
}

}  // namespace qarepvgg
