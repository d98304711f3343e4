// One op of a compiled program. A node is made for fixed shapes, says how much memory it needs, and then gets that
// memory.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "ops/feature_map.h"
#include "ops/squeeze_excite.h"
#include "program/train/spec.h"

namespace qarepvgg {

// A tensor between ops: its activation and, in programs with gradients, its gradient. The halos of the two depend on
// their readers and may differ.
struct Value {
  FeatureMap map;
  FeatureMap grad;
};

// The data of one run. Arrays are as long as the program's state.
struct Run {
  const float* state;
  float* statistics;  // the same memory as `state` if running statistics are to be updated, else null
  float* gradients;   // added to by backward, else null
  int threads;

  // How many threads are worth waking for so many elementary operations.
  int team(double work) const;
};

class Node {
 public:
  explicit Node(const OpSpec& spec) : spec_(spec) {}
  virtual ~Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Memory in floats: `saved` is kept from forward to backward, the scratch is used only while one of them runs.
  virtual std::size_t saved_floats() const { return 0; }
  virtual std::size_t forward_scratch_floats() const { return 0; }
  virtual std::size_t backward_scratch_floats() const { return 0; }
  // Halos that this node needs around its inputs and around the gradient of its output.
  virtual std::size_t input_halo() const { return 0; }
  virtual std::size_t output_gradient_halo() const { return 0; }
  // What backward reads besides the gradient of the output.
  virtual bool backward_reads_input() const { return false; }
  virtual bool backward_reads_output() const { return spec_.activation.any(); }
  // Whether backward can leave out the gradient of its input, whose map then has no data.
  virtual bool may_omit_input_gradient() const { return false; }
  // Whether backward masks the gradient of the output in place.
  virtual bool overwrites_output_gradient() const { return false; }
  // Whether the gradient of the first input may overwrite that of the output.
  virtual bool backward_in_place() const { return false; }
  // A pass over the input (over the gradient of the output) that the writer of that map may make instead, chunk by
  // chunk (RowChunks); this node then skips it. Empty if there is none.
  virtual ChunkTask hand_over_input_pass() { return {}; }
  virtual ChunkTask hand_over_gradient_pass() { return {}; }
  // Whether the node can make such a pass over its output (over the gradient of its first input) together with its own.
  virtual bool makes_output_pass() const { return false; }
  virtual bool makes_gradient_pass() const { return false; }
  // Elementary operations of a forward pass, which decide between one thread and several.
  virtual double work() const = 0;

  virtual void forward(const Run& run) = 0;
  // Reads the gradient of the output, and may overwrite it. Writes the gradient of each input, or adds to it if
  // accumulate_ says so.
  virtual void backward(const Run& run) = 0;

  const OpSpec& spec() const { return spec_; }

  // Set by the program before the first run.
  struct Wiring {
    std::vector<const Value*> inputs;
    const Value* output = nullptr;
    std::vector<bool> accumulate;          // for each input
    ChunkTask output_pass, gradient_pass;  // passes to make for neighbours, or empty
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

// Makes the node of an op and infers the shape of its output, without halo. Throws ERR_SHAPE or ERR_INVALID_ARG.
struct NewNode {
  std::unique_ptr<Node> node;
  MapShape output;
};
struct NodeOptions {
  bool training, gradients;
  int threads;  // size of the largest team
};
NewNode make_node(const OpSpec& spec, const std::vector<MapShape>& inputs, const NodeOptions& options);
NewNode make_conv_node(const OpSpec& spec, const MapShape& input, const NodeOptions& options);
NewNode make_batch_norm_node(const OpSpec& spec, const std::vector<MapShape>& inputs, bool training);
NewNode make_squeeze_excite_node(const OpSpec& spec, const MapShape& input);
SqueezeExciteWeights squeeze_excite_weights(const OpSpec& spec, const float* state);
NewNode make_elementwise_node(const OpSpec& spec, const std::vector<MapShape>& inputs);

}  // namespace qarepvgg
