// Training: forward, loss, backward and optimiser step in one call, in memory that is planned once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/arena.h"
#include "ops/input_image.h"
#include "ops/loss.h"
#include "ops/optimizer.h"
#include "program/train/program.h"

namespace qarepvgg {

enum class OptimizerKind { kSgd, kAdamW };

struct TrainerSpec {
  ProgramSpec program;
  OptimizerKind optimizer{};
  double momentum = 0, beta2 = 0, epsilon = 0;
  bool nesterov = false;
  double label_smoothing = 0, clip_norm = 0;
  std::vector<StateRange> parameters, decayed;
  std::vector<CustomL2Block> custom_l2;
};

// Shift down, shift right and mirroring of one image.
struct Augmentation {
  std::int16_t down, right, mirror;
};

struct Batch {
  std::vector<Image> images;              // as many as the program's n
  const std::int32_t* labels;             // 0..classes - 1
  const Augmentation* augment = nullptr;  // one for each image, or null
};

class Trainer {
 public:
  // The program's output must be [n, classes, 1, 1]. Throws what Program throws.
  Trainer(const TrainerSpec& spec, const float* state);

  const MapShape& input_shape() const { return program_.input_shape(); }
  std::size_t images() const { return program_.input_shape().n; }
  std::size_t classes() const { return program_.output_shape().c; }
  std::size_t memory_bytes() const;
  std::vector<float>& state() { return state_; }
  // Momentum (SGD), or first and second moment (AdamW).
  std::vector<float>& optimizer_state() { return optimizer_state_; }
  std::size_t step_count() const { return step_count_; }
  void set_step_count(std::size_t count) { step_count_ = count; }
  // Throws ERR_INVALID_STATE after a step that failed while it was changing the weights, because the system refused
  // threads. From then on the trainer cannot be used.
  void require_whole() const;

  // Throws ERR_NON_FINITE if the loss, a gradient or a running statistic is not finite, and then has changed nothing.
  // The same holds for ERR_OUT_OF_MEMORY, except for the case of require_whole().
  LossResult step(const Batch& batch, double learning_rate, double weight_decay);

 private:
  void import(const Batch& batch, const FeatureMap& map, int threads) const;
  void remember_statistics();
  void restore_statistics();
  LossResult compute_gradients(const Batch& batch);
  void require_finite(const char* what, double value) const;
  double norm(const std::vector<StateRange>& ranges, const std::vector<float>& values) const;
  void apply_gradients(double learning_rate, double weight_decay);

  TrainerSpec spec_;
  Program program_;
  int threads_;
  std::vector<float> state_, gradients_, optimizer_state_;
  std::vector<float> logits_, grad_logits_;
  std::vector<StateRange> statistics_;  // running statistics, which a failed step must not change
  std::vector<float> remembered_;
  std::size_t step_count_ = 0;
  bool broken_ = false;
};

}  // namespace qarepvgg
