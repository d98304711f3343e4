// A graph compiled for inference: ops with packed weights, and plans for the dims that come up.
//
// Values between ops that work on images are maps, the others are plain tensors; where an op wants the other layout, a
// conversion goes before it, once for all readers.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "program/infer/graph_plan.h"

namespace qarepvgg {

class GraphProgram {
 public:
  // Threads share one image while each gets about so many multiply-accumulates from one op to the next: about ten
  // microseconds. With fewer, handing over takes longer than computing.
  static constexpr double kMinMacs = 1e6;

  // The spec's constants are not read again. Throws what make_op throws, and ERR_OUT_OF_MEMORY.
  explicit GraphProgram(const GraphSpec& spec, double min_macs = kMinMacs);

  // Of one task, for the dims that the graph was made for.
  const std::vector<TensorType>& inputs() const { return inputs_; }
  const std::vector<TensorType>& outputs() const { return outputs_; }
  // For inputs of other dims. Throws ERR_SHAPE where they do not fit. May be called while another thread runs.
  std::vector<TensorType> outputs(const std::vector<Dims>& inputs) const;
  bool independent() const { return independent_; }
  // Whether the first input may be an image of bytes.
  bool takes_bytes() const;
  std::size_t memory_bytes() const { return layout_.weights.bytes() + plan_bytes_; }
  int threads() const { return limits_.threads; }

  // All tasks have inputs of these dims. `stop` is looked at between steps; outputs are undefined once it is true.
  // Throws ERR_OUT_OF_MEMORY where dims that are new, or more tasks than ever, need memory that is not there.
  void run(const std::vector<Dims>& inputs, const GraphTask* tasks, std::size_t count, const std::atomic<bool>& stop);
  void run(const GraphTask* tasks, std::size_t count, const std::atomic<bool>& stop) {
    run(input_dims(), tasks, count, stop);
  }

 private:
  std::vector<Dims> input_dims() const;
  GraphPlan& plan_for(const std::vector<Dims>& inputs);

  std::vector<TensorType> inputs_, outputs_;
  bool independent_;
  PlanLimits limits_;
  GraphLayout layout_;
  std::vector<std::unique_ptr<GraphPlan>> plans_;  // last used last
  std::atomic<std::size_t> plan_bytes_{0};         // read by other threads than the one that runs
};

}  // namespace qarepvgg
