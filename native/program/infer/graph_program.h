// A graph compiled for inference: ops with packed weights, and plans for the dims of runs.
//
// Values between ops on images are maps, the others are plain tensors. If an op needs the other layout, a conversion is
// inserted before it, one for all readers.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "program/infer/graph_plan.h"

namespace qarepvgg {

class GraphProgram {
 public:
  // Threads share an image if each gets about so many multiply-adds between two ops, which take about ten microseconds.
  // With fewer, synchronising takes longer than computing.
  static constexpr double kMinMacs = 1e6;

  // The spec's constants are not read after it returns. Throws the errors of make_op, and ERR_OUT_OF_MEMORY.
  explicit GraphProgram(const GraphSpec& spec, double min_macs = kMinMacs);

  // Types of one task's inputs and outputs, for the dims that the graph was made for.
  const std::vector<TensorType>& inputs() const { return inputs_; }
  const std::vector<TensorType>& outputs() const { return outputs_; }
  // The same for inputs with other dims. Throws ERR_SHAPE if they do not fit. May be called while another thread runs.
  std::vector<TensorType> outputs(const std::vector<Dims>& inputs) const;
  bool independent() const { return independent_; }
  // Whether the first input may be an image of bytes.
  bool takes_bytes() const;
  std::size_t memory_bytes() const { return weight_bytes_ + plan_bytes_; }
  int threads() const { return limits_.threads; }

  // All tasks have inputs with these dims. `stop` is checked between steps; outputs are undefined once it is true.
  // Throws ERR_OUT_OF_MEMORY if new dims, or more tasks than before, need too much memory.
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
  std::size_t weight_bytes_;
  std::vector<std::unique_ptr<GraphPlan>> plans_;  // the most recently used one is last
  std::atomic<std::size_t> plan_bytes_{0};         // also read by threads that do not run
};

}  // namespace qarepvgg
