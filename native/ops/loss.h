// Softmax cross-entropy with label smoothing (torch.nn.CrossEntropyLoss, mean over the batch).
#pragma once

#include <cstddef>
#include <cstdint>

namespace qarepvgg {

struct LossResult {
  double loss;
  std::size_t correct;  // rows whose largest logit is the label's
};

// logits: [rows][classes]; labels: 0..classes - 1. Writes the gradient of the mean loss, [rows][classes]. Computes in
// double.
LossResult cross_entropy(const float* logits, const std::int32_t* labels, std::size_t rows, std::size_t classes,
                         double smoothing, float* gradient);

}  // namespace qarepvgg
