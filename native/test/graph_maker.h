// Graphs for tests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "program/infer/graph_program.h"
#include "test/attributes.h"
#include "test/random.h"

namespace qarepvgg::test {

using Floats = std::vector<float>;

inline Floats random_floats(Rng& rng, std::size_t count) {
  Floats values(count);
  for (float& value : values) value = static_cast<float>(rng.uniform(-1, 1));
  return values;
}

// Builds a graph, and keeps its constants. Inputs come first, then constants, then nodes.
struct Maker {
  GraphSpec spec;
  std::vector<std::vector<std::byte>> memory;

  static TensorType type(Dims dims) { return {Dtype::kFloat32, std::move(dims)}; }

  ValueId input(Dims dims) {
    spec.inputs.push_back(type(std::move(dims)));
    return spec.inputs.size() - 1;
  }
  template <class T>
  ValueId constant(Dtype dtype, Dims dims, const std::vector<T>& values) {
    const auto* first = reinterpret_cast<const std::byte*>(values.data());
    memory.emplace_back(first, first + values.size() * sizeof(T));
    spec.constants.push_back({{dtype, std::move(dims)}, nullptr});
    return spec.inputs.size() + spec.constants.size() - 1;
  }
  ValueId constant(Dims dims, const Floats& values) { return constant(Dtype::kFloat32, std::move(dims), values); }
  ValueId node(const std::string& op, std::vector<ValueId> inputs, TensorType output, const Attributes& attributes) {
    ValueId id = spec.inputs.size() + spec.constants.size();
    for (const NodeSpec& node : spec.nodes) id += node.outputs.size();
    spec.nodes.push_back({op, op, std::move(inputs), {std::move(output)}, attributes});
    return id;
  }
  ValueId node(const std::string& op, std::vector<ValueId> inputs, Dims dims, const Attributes& attributes) {
    return node(op, std::move(inputs), type(std::move(dims)), attributes);
  }
  GraphSpec& finish() {
    for (std::size_t i = 0; i < memory.size(); ++i) spec.constants[i].data = memory[i].data();
    return spec;
  }
};

// All outputs of a run.
inline std::vector<Floats> run_all(GraphProgram& program, const std::vector<Dims>& dims,
                                   const std::vector<Floats>& inputs) {
  std::vector<Floats> outputs;
  GraphTask task{};
  for (const Floats& input : inputs) task.inputs.push_back(reinterpret_cast<const std::byte*>(input.data()));
  for (const TensorType& type : program.outputs(dims)) outputs.emplace_back(type.elements());
  for (Floats& output : outputs) task.outputs.push_back(reinterpret_cast<std::byte*>(output.data()));
  const std::atomic<bool> stop{false};
  program.run(dims, &task, 1, stop);
  return outputs;
}

inline Floats run(GraphProgram& program, const std::vector<Dims>& dims, const std::vector<Floats>& inputs) {
  return run_all(program, dims, inputs)[0];
}

inline Floats run(GraphProgram& program, const std::vector<Floats>& inputs) {
  std::vector<Dims> dims;
  for (const TensorType& type : program.inputs()) dims.push_back(type.dims);
  return run(program, dims, inputs);
}

}  // namespace qarepvgg::test
