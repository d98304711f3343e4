// A network compiled for fixed shapes: nodes in order, every tensor placed in one arena. Running it allocates nothing.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "base/arena.h"
#include "program/node.h"
#include "program/spec.h"

namespace qarepvgg {

class Program {
 public:
  // Throws ERR_INVALID_ARG, ERR_SHAPE, ERR_SIZE_OVERFLOW or ERR_OUT_OF_MEMORY; shapes are checked before memory is
  // asked for.
  explicit Program(const ProgramSpec& spec);

  const ProgramSpec& spec() const { return spec_; }
  // Dims of input and output; their halos are the program's own business.
  const MapShape& input_shape() const { return values_.front().map.shape; }
  const MapShape& output_shape() const { return values_.back().map.shape; }
  const MapShape& value_shape(ValueId id) const { return values_[id].map.shape; }
  std::size_t memory_bytes() const { return arena_.bytes(); }
  // Too little work to wake a second thread for.
  bool serial() const { return serial_; }

  // input, output: NCHW. state: running statistics are updated when training.
  void forward(const float* input, float* state, float* output);
  // Gradient of the last forward's input; adds parameter gradients. Throws ERR_INVALID_STATE without a forward before.
  void backward(const float* grad_output, const float* state, float* gradients, float* grad_input);

 private:
  // A step that first writes a map clears it when its memory served another tensor before.
  struct Clear {
    const FeatureMap* map;
    bool all;
  };

  void build();
  void place();
  ChunkTask pass_behind(std::size_t node);
  // Whether the node takes the value as its first operand, and not as another one too.
  bool reads_first(std::size_t node, ValueId value) const;
  void clear_for(std::size_t step, int threads) const;

  ProgramSpec spec_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<Value> values_;
  AlignedBuffer arena_;
  std::vector<std::vector<Clear>> clears_;  // by step
  ChunkTask import_pass_;                   // over the gradient of the output, along with its import
  float* output_ = nullptr;                 // of the present forward
  int threads_ = 1;
  bool serial_ = true;
  bool graph_kept_ = false;
};

}  // namespace qarepvgg
