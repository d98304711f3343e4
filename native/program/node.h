// One op of a compiled program. A node is made for fixed shapes, tells how much memory it needs, and is then given it.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "ops/feature_map.h"
#include "ops/squeeze_excite.h"
#include "program/spec.h"

namespace qarepvgg {

// A tensor between ops: its activation and, in programs with gradients, the gradient of the same shape. The two may
// have halos of different width, as their readers need.
struct Value {
  FeatureMap map;
  FeatureMap grad;
};

// What one run works on. Arrays are as long as the program's state.
struct Run {
  const float* state;
  float* statistics;  // the same memory as `state` where running statistics are to be updated, else null
  float* gradients;   // added to by backward, else null
  int threads;

  // Threads worth waking for so many elementary operations.
  int team(double work) const;
};

class Node {
 public:
  explicit Node(const OpSpec& spec) : spec_(spec) {}
  virtual ~Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Memory in floats: kept from forward to backward, and used only while one of them runs.
  virtual std::size_t saved_floats() const { return 0; }
  virtual std::size_t forward_scratch_floats() const { return 0; }
  virtual std::size_t backward_scratch_floats() const { return 0; }
  // Halos that this node needs around its inputs and around the gradient of its output.
  virtual std::size_t input_halo() const { return 0; }
  virtual std::size_t output_gradient_halo() const { return 0; }
  // What backward reads, besides the gradient of its output.
  virtual bool backward_reads_input() const { return false; }
  virtual bool backward_reads_output() const { return spec_.relu; }
  // Backward masks the gradient of its output in place.
  virtual bool overwrites_output_gradient() const { return false; }
  // The gradient of its first input may be written over that of its output.
  virtual bool backward_in_place() const { return false; }
  // A pass over the input (over the gradient of the output) that the node which writes that map may make instead, chunk
  // by chunk (RowChunks); the pass counts as made then. Empty where there is none.
  virtual ChunkTask hand_over_input_pass() { return {}; }
  virtual ChunkTask hand_over_gradient_pass() { return {}; }
  // Whether the node makes such a pass over its output (over the gradient of its first input) along with its own.
  virtual bool makes_output_pass() const { return false; }
  virtual bool makes_gradient_pass() const { return false; }
  // Elementary operations of a forward pass: decides between one thread and many.
  virtual double work() const = 0;

  virtual void forward(const Run& run) = 0;
  // Reads the gradient of the output, which it may overwrite. Writes the gradient of each input, or adds to it where
  // accumulate_ says so.
  virtual void backward(const Run& run) = 0;

  const OpSpec& spec() const { return spec_; }

  // Set by the program before the first run.
  struct Wiring {
    std::vector<const Value*> inputs;
    const Value* output = nullptr;
    std::vector<bool> accumulate;          // per input
    ChunkTask output_pass, gradient_pass;  // of the neighbours, to be made along; or empty
    float *saved = nullptr, *forward_scratch = nullptr, *backward_scratch = nullptr;
  };
  void wire(Wiring wiring) { wiring_ = std::move(wiring); }

 protected:
  const FeatureMap& x(std::size_t i = 0) const { return wiring_.inputs[i]->map; }
  const FeatureMap& y() const { return wiring_.output->map; }
  const FeatureMap& grad_x(std::size_t i = 0) const { return wiring_.inputs[i]->grad; }
  const FeatureMap& grad_y() const { return wiring_.output->grad; }

  OpSpec spec_;
  Wiring wiring_;
};

// Makes the node of an op and infers the shape of its output (without halo). Throws ERR_SHAPE or ERR_INVALID_ARG.
struct NewNode {
  std::unique_ptr<Node> node;
  MapShape output;
};
struct NodeOptions {
  bool training, gradients;
  int threads;  // the largest team
};
NewNode make_node(const OpSpec& spec, const std::vector<MapShape>& inputs, const NodeOptions& options);
NewNode make_conv_node(const OpSpec& spec, const MapShape& input, const NodeOptions& options);
NewNode make_batch_norm_node(const OpSpec& spec, const std::vector<MapShape>& inputs, bool training);
NewNode make_squeeze_excite_node(const OpSpec& spec, const MapShape& input);
SqueezeExciteWeights squeeze_excite_weights(const OpSpec& spec, const float* state);
NewNode make_elementwise_node(const OpSpec& spec, const std::vector<MapShape>& inputs);

}  // namespace qarepvgg
