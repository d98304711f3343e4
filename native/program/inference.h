// A re-parameterised network for inference: weights packed once into one arena, activations planned once per input
// size.
//
// Images are independent of each other, so a batch is shared out by images while every thread gets one (no waiting
// between layers); what is left over is shared layer by layer with a barrier between. An image's result is the same
// bits either way.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "base/arena.h"
#include "program/inference_layer.h"

namespace qarepvgg {

// One image of a run.
struct ImageTask {
  Image input;
  float* output;  // InferenceProgram::output_shape of its size
};

struct ImageSize {
  std::size_t h, w;
  bool operator==(const ImageSize& other) const { return h == other.h && w == other.w; }
};

class InferencePlan;

class InferenceProgram {
 public:
  // Threads share one image while each gets about so many multiply-accumulate steps from one wait for the others to the
  // next: some ten microseconds. With fewer, waiting takes longer than computing, and very much longer on a machine
  // that has other things to do.
  static constexpr double kMinMacs = 1e6;

  // spec.n is the number of images that a thread takes through the network together, as far as memory is concerned;
  // training and gradients must be off. Throws ERR_MODEL_INCOMPATIBLE for ops that are not re-parameterised, and the
  // errors of Program.
  InferenceProgram(const ProgramSpec& spec, const float* state, Algorithm algorithm, double min_macs = kMinMacs);
  ~InferenceProgram();

  const MapShape& input_shape() const { return input_; }
  // Shape of one image's output. Throws ERR_SHAPE for images that are too small.
  MapShape output_shape(ImageSize size) const;
  std::size_t memory_bytes() const;
  // Whether images may be bytes.
  bool takes_bytes() const { return takes_bytes_; }
  int threads() const { return threads_; }

  // All tasks have the given size. `stop` is looked at between layers; the outputs are undefined once it is true.
  // Throws ERR_OUT_OF_MEMORY when a size that is new needs memory that is not there.
  void run(ImageSize size, const ImageTask* tasks, std::size_t count, const std::atomic<bool>& stop);

 private:
  InferencePlan& plan_for(ImageSize size);

  MapShape input_;
  int threads_;
  std::size_t together_;  // images of one pass of one thread
  double min_macs_;
  bool takes_bytes_ = false;
  std::vector<std::unique_ptr<InferenceLayer>> layers_;
  AlignedBuffer weights_;
  std::atomic<std::size_t> plan_bytes_{0};             // read by other threads than the one that plans
  std::vector<std::unique_ptr<InferencePlan>> plans_;  // last used last
};

}  // namespace qarepvgg
