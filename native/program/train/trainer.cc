#include "program/train/trainer.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "base/threads.h"

namespace qarepvgg {
namespace {

std::size_t total_length(const std::vector<StateRange>& ranges) {
  std::size_t total = 0;
  for (const StateRange& range : ranges) total += range.length;
  return total;
}

void check_ranges(const std::vector<StateRange>& ranges, std::size_t state_length) {
  for (const StateRange& range : ranges)
    if (range.length > state_length || range.offset > state_length - range.length)
      fail(code::kInvalidArg, "expected ranges inside a state of ", state_length, " floats, received offset ",
           range.offset, " and ", range.length, " floats");
}

void check_custom_l2(const CustomL2Block& block, std::size_t state_length) {
  const std::size_t pairs = checked_mul(block.out_channels, block.depth), channels = block.out_channels;
  check_ranges({{block.weight3x3, checked_mul(pairs, 9)},
                {block.weight1x1, pairs},
                {block.gamma3x3, channels},
                {block.var3x3, channels},
                {block.gamma1x1, channels},
                {block.var1x1, channels}},
               state_length);
}

// The value of one pixel of an image of floats or bytes.
float pixel_of(const Image& image, const MapShape& shape, std::size_t c, std::size_t y, std::size_t x) {
  if (image.bytes == nullptr) return image.floats[(c * shape.h + y) * shape.w + x];
  return static_cast<float>(image.bytes[(y * shape.w + x) * shape.c + c]) * image.scale[c] + image.shift[c];
}

// The value of a pixel outside the image: black if pixels are bytes, else zero.
float outside_of(const Image& image, std::size_t c) { return image.bytes == nullptr ? 0.0f : image.shift[c]; }

ProgramSpec without_input_gradient(ProgramSpec spec) {
  spec.input_gradient = false;
  return spec;
}

}  // namespace

Trainer::Trainer(const TrainerSpec& spec, const float* state)
    : spec_(spec),
      program_(without_input_gradient(spec.program)),
      threads_(spec.program.threads > 0 ? spec.program.threads : thread_budget().count),
      statistics_(program_.statistics()) {
  const std::size_t length = spec.program.state_length;
  const MapShape& output = program_.output_shape();
  if (output.h != 1 || output.w != 1)
    fail(code::kShape, "expected a classifier's output, [n, classes, 1, 1], received [", output.n, ", ", output.c, ", ",
         output.h, ", ", output.w, "]");
  check_ranges(spec.parameters, length);
  check_ranges(spec.decayed, length);
  for (const CustomL2Block& block : spec.custom_l2) check_custom_l2(block, length);
  state_.assign(state, state + length);
  gradients_.resize(length);
  optimizer_state_.resize(checked_mul(length, spec.optimizer == OptimizerKind::kAdamW ? 2 : 1));
  logits_.resize(output.elements());
  grad_logits_.resize(logits_.size());
  remembered_.resize(total_length(statistics_));
}

std::size_t Trainer::memory_bytes() const {
  std::size_t floats = 0;
  for (const auto* array : {&state_, &gradients_, &optimizer_state_, &logits_, &grad_logits_}) floats += array->size();
  return program_.memory_bytes() + floats * sizeof(float);
}

LossResult Trainer::step(const Batch& batch, double learning_rate, double weight_decay) {
  require_whole();
  remember_statistics();
  LossResult result;
  try {
    result = compute_gradients(batch);
  } catch (...) {
    restore_statistics();
    throw;
  }
  broken_ = true;
  apply_gradients(learning_rate, weight_decay);
  broken_ = false;
  return result;
}

void Trainer::require_whole() const {
  if (broken_) fail(code::kInvalidState, "a step failed while it changed the weights: make a new trainer");
}

LossResult Trainer::compute_gradients(const Batch& batch) {
  program_.forward([&](const FeatureMap& map, int threads) { import(batch, map, threads); }, state_.data(),
                   logits_.data());
  const LossResult result =
      cross_entropy(logits_.data(), batch.labels, images(), classes(), spec_.label_smoothing, grad_logits_.data());
  require_finite("loss", result.loss);
  // A variance may overflow though the loss is finite: numbers divided by it are zero.
  require_finite("norm of the running statistics", norm(statistics_, state_));
  std::fill(gradients_.begin(), gradients_.end(), 0.0f);
  program_.backward(grad_logits_.data(), state_.data(), gradients_.data(), nullptr);
  const double length = norm(spec_.parameters, gradients_);
  require_finite("norm of the gradients", length);
  // Like torch.nn.utils.clip_grad_norm_.
  if (spec_.clip_norm > 0 && length > spec_.clip_norm)
    for (const StateRange& range : spec_.parameters)
      scale_range(range, spec_.clip_norm / (length + 1e-6), gradients_.data(), threads_);
  return result;
}

// Writes the images into the map, shifted and mirrored.
void Trainer::import(const Batch& batch, const FeatureMap& map, int threads) const {
  const MapShape& shape = map.shape;
  parallel_for(threads, shape.n * shape.h, [&](std::size_t row) {
    const std::size_t n = row / shape.h, y = row % shape.h, pixel = shape.pixel();
    const Image& image = batch.images[n];
    const Augmentation augment = batch.augment != nullptr ? batch.augment[n] : Augmentation{0, 0, 0};
    const std::ptrdiff_t from_y = signed_size(y) - augment.down;
    float* const out = map.at(n, signed_size(y), 0);
    for (std::size_t x = 0; x < shape.w; ++x) {
      const std::ptrdiff_t from_x = signed_size(augment.mirror != 0 ? shape.w - 1 - x : x) - augment.right;
      const bool inside = from_y >= 0 && from_y < signed_size(shape.h) && from_x >= 0 && from_x < signed_size(shape.w);
      for (std::size_t c = 0; c < shape.c; ++c)
        out[x * pixel + c] =
            inside ? pixel_of(image, shape, c, static_cast<std::size_t>(from_y), static_cast<std::size_t>(from_x))
                   : outside_of(image, c);
    }
    clear_lanes(out + shape.c, shape.w, signed_size(pixel), pixel - shape.c);
  });
}

void Trainer::remember_statistics() {
  float* out = remembered_.data();
  for (const StateRange& range : statistics_) out = std::copy_n(state_.data() + range.offset, range.length, out);
}

void Trainer::restore_statistics() {
  const float* in = remembered_.data();
  for (const StateRange& range : statistics_) {
    std::copy_n(in, range.length, state_.data() + range.offset);
    in += range.length;
  }
}

void Trainer::require_finite(const char* what, double value) const {
  if (!std::isfinite(value))
    fail(code::kNonFinite, "expected a finite ", what, ", received ", value, " at step ", step_count_ + 1);
}

double Trainer::norm(const std::vector<StateRange>& ranges, const std::vector<float>& values) const {
  double sum = 0;
  for (const StateRange& range : ranges) sum += sum_of_squares(range, values.data(), threads_);
  return std::sqrt(sum);
}

void Trainer::apply_gradients(double learning_rate, double weight_decay) {
  float *state = state_.data(), *gradients = gradients_.data(), *first = optimizer_state_.data();
  for (const CustomL2Block& block : spec_.custom_l2) add_custom_l2_gradient(block, state, weight_decay, gradients);
  ++step_count_;
  if (spec_.optimizer == OptimizerKind::kSgd) {
    if (weight_decay != 0)
      for (const StateRange& range : spec_.decayed) add_scaled(range, state, weight_decay, gradients, threads_);
    for (const StateRange& range : spec_.parameters)
      sgd_step({learning_rate, spec_.momentum, spec_.nesterov}, range, gradients, first, state, threads_);
    return;
  }
  if (weight_decay != 0)
    for (const StateRange& range : spec_.decayed) scale_range(range, 1 - learning_rate * weight_decay, state, threads_);
  const AdamStep adam{learning_rate, spec_.momentum, spec_.beta2, spec_.epsilon, static_cast<double>(step_count_)};
  for (const StateRange& range : spec_.parameters)
    adam_step(adam, range, gradients, first, first + state_.size(), state, threads_);
}

}  // namespace qarepvgg
