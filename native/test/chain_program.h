// A re-parameterised network for inference: a chain of ops as a graph with one input, images, and one output.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "program/infer/graph_program.h"
#include "program/train/spec.h"

namespace qarepvgg {

// One image of a run.
struct ImageTask {
  Image input;
  float* output;  // has InferenceProgram::output_shape of the image's size
};

struct ImageSize {
  std::size_t h, w;
  bool operator==(const ImageSize& other) const { return h == other.h && w == other.w; }
};

// The constants of the graph point to tensors of the state and of the spec. Throws ERR_MODEL_INCOMPATIBLE for ops that
// are not re-parameterised, and the errors of Program.
GraphSpec chain_graph(const ProgramSpec& spec, const float* state, Algorithm algorithm);

class InferenceProgram {
 public:
  static constexpr double kMinMacs = GraphProgram::kMinMacs;

  // spec.n is the number of images that a thread takes through the network together. Training and gradients must be
  // off.
  InferenceProgram(const ProgramSpec& spec, const float* state, Algorithm algorithm, double min_macs = kMinMacs);

  const MapShape& input_shape() const { return input_; }
  // Shape of one image's output. Throws ERR_SHAPE for images that are too small.
  MapShape output_shape(ImageSize size) const;
  std::size_t memory_bytes() const { return graph_.memory_bytes(); }
  // Whether images may be bytes.
  bool takes_bytes() const { return graph_.takes_bytes(); }
  int threads() const { return graph_.threads(); }

  // All tasks have the given size. `stop` is checked between layers; outputs are undefined once it is true. Throws
  // ERR_OUT_OF_MEMORY if a new size needs too much memory.
  void run(ImageSize size, const ImageTask* tasks, std::size_t count, const std::atomic<bool>& stop);

 private:
  std::vector<Dims> dims_of(ImageSize size) const;

  MapShape input_;
  GraphProgram graph_;
};

}  // namespace qarepvgg
