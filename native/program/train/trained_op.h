// An op of a program that can be trained. It is made for fixed shapes, says how much memory it needs, and then gets
// that memory. Each is in the file of program/ops/ that has the op for inference, if there is one.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "ops/feature_map.h"
#include "ops/optimizer.h"
#include "program/op.h"
#include "program/train/spec.h"

namespace qarepvgg {

// A map between ops: its activation and, in programs with gradients, its gradient. The halos of the two depend on their
// readers and may differ.
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

// A node of a program and its operands, which an op is made from. All errors are ERR_INVALID_ARG or ERR_SHAPE.
struct TrainingContext : OpContext {
  const ProgramSpec& program;
  int threads;  // size of the largest team

  TrainingContext(const NodeSpec& node, const std::vector<Source>& inputs, const ProgramSpec& program, int threads)
      : OpContext{node, inputs, Algorithm::kAuto}, program(program), threads(threads) {}

  // Shape of an operand that must be a map, not a tensor of the state.
  MapShape map(std::size_t input = 0) const;
  // Offset of an operand that must be a tensor inside the state with these dims. Trailing dims of 1 do not count.
  StateOffset tensor(std::size_t input, const Dims& dims) const;
  // Whether the node has a ReLU, the only activation with a gradient.
  bool has_relu() const;
  void expect_no_activation() const;
};

class TrainedOp {
 public:
  TrainedOp(const TrainingContext& context, const MapShape& output);
  virtual ~TrainedOp() = default;
  TrainedOp(const TrainedOp&) = delete;
  TrainedOp& operator=(const TrainedOp&) = delete;

  // The operands that are maps, and the shape of the output, without halo.
  const std::vector<MapId>& inputs() const { return inputs_; }
  const MapShape& output() const { return output_; }
  // Index of the first of these operands that is only added to the output.
  virtual std::size_t first_addend() const { return inputs_.size(); }
  // Whether the output may overwrite the last operand.
  virtual bool overwrites_addend() const { return false; }
  // The parts of the state that forward changes in training.
  virtual std::vector<StateRange> statistics() const { return {}; }

  // Memory in floats: `saved` is kept from forward to backward, the scratch is used only while one of them runs.
  virtual std::size_t saved_floats() const { return 0; }
  virtual std::size_t forward_scratch_floats() const { return 0; }
  virtual std::size_t backward_scratch_floats() const { return 0; }
  // Halos that it needs around its inputs and around the gradient of its output.
  virtual std::size_t input_halo() const { return 0; }
  virtual std::size_t output_gradient_halo() const { return 0; }
  // What backward reads besides the gradient of the output.
  virtual bool backward_reads_input() const { return false; }
  virtual bool backward_reads_output() const { return relu_; }
  // Whether backward can leave out the gradient of its input, whose map then has no data.
  virtual bool may_omit_input_gradient() const { return false; }
  // Whether backward masks the gradient of the output in place.
  virtual bool overwrites_output_gradient() const { return relu_; }
  // Whether the gradient of the first input may overwrite that of the output.
  virtual bool backward_in_place() const { return false; }
  // A pass over the input (over the gradient of the output) that the writer of that map may make instead, chunk by
  // chunk (RowChunks); this op then skips it. Empty if there is none.
  virtual ChunkTask hand_over_input_pass() { return {}; }
  virtual ChunkTask hand_over_gradient_pass() { return {}; }
  // Whether it can make such a pass over its output (over the gradient of its first input) together with its own.
  virtual bool makes_output_pass() const { return false; }
  virtual bool makes_gradient_pass() const { return false; }
  // Elementary operations of a forward pass, which decide between one thread and several.
  virtual double work() const { return static_cast<double>(output_.elements()); }

  virtual void forward(const Run& run) = 0;
  // Reads the gradient of the output, and may overwrite it. Writes the gradient of each input, or adds to it if
  // `accumulate` says so.
  virtual void backward(const Run& run) = 0;

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
  bool has_relu() const { return relu_; }
  const Clamp* clamp() const { return relu_ ? &kReluClamp : nullptr; }
  // Masks the gradient of the output in place if there is a ReLU.
  void mask_gradient(int team) const;

  Wiring wiring_;

 private:
  std::vector<MapId> inputs_;
  MapShape output_;
  bool relu_;
};

// Makes the op of a node. Throws ERR_MODEL_INCOMPATIBLE for an op that cannot be trained, ERR_INVALID_ARG or ERR_SHAPE
// for an inconsistent node; all name the node.
std::unique_ptr<TrainedOp> make_trained_op(const TrainingContext& context);

}  // namespace qarepvgg
