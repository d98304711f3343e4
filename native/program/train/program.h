// A network compiled for fixed shapes: ops in order, and every tensor placed in one arena. Running it allocates
// nothing.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "base/arena.h"
#include "program/train/spec.h"
#include "program/train/trained_op.h"

namespace qarepvgg {

class Program {
 public:
  // Throws ERR_INVALID_ARG, ERR_SHAPE, ERR_MODEL_INCOMPATIBLE, ERR_SIZE_OVERFLOW or ERR_OUT_OF_MEMORY. Checks shapes
  // before it allocates memory.
  explicit Program(const ProgramSpec& spec);

  const ProgramSpec& spec() const { return spec_; }
  // Shapes of input and output; callers use only their dims, not their halos.
  const MapShape& input_shape() const { return values_.front().map.shape; }
  const MapShape& output_shape() const { return values_.back().map.shape; }
  // The parts of the state that forward changes in training.
  std::vector<StateRange> statistics() const;
  std::size_t memory_bytes() const { return arena_.bytes(); }
  // Whether there is too little work for a second thread.
  bool serial() const { return serial_; }

  // input, output: NCHW. state: running statistics are updated when training.
  void forward(const float* input, float* state, float* output);
  // The same with an input that `import` writes: the interior of the map, with its padding lanes.
  using Import = std::function<void(const FeatureMap& input, int threads)>;
  void forward(const Import& import, float* state, float* output);
  // Writes the gradient of the last forward's input, unless `grad_input` is null, and adds to parameter gradients.
  // Throws ERR_INVALID_STATE without a forward before it.
  void backward(const float* grad_output, const float* state, float* gradients, float* grad_input);

 private:
  // A map that the first step to write it must clear, because its memory was used for another tensor.
  struct Clear {
    const FeatureMap* map;
    bool all;
  };

  void build();
  void place();
  std::unique_ptr<TrainedOp> op_of(const NodeSpec& node) const;
  ChunkTask pass_behind(std::size_t op);
  // Whether the op reads the map as its first operand and not as another one.
  bool reads_first(std::size_t op, MapId map) const;
  void clear_for(std::size_t step, int threads) const;

  ProgramSpec spec_;
  std::vector<std::unique_ptr<TrainedOp>> ops_;
  std::vector<Value> values_;  // by MapId
  AlignedBuffer arena_;
  std::vector<std::vector<Clear>> clears_;  // by step
  ChunkTask import_pass_;                   // pass over the gradient of the output, made during its import
  float* output_ = nullptr;                 // of the current forward
  int threads_ = 1;
  bool serial_ = true;
  bool graph_kept_ = false;
};

}  // namespace qarepvgg
