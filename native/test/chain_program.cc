#include "test/chain_program.h"

namespace qarepvgg::test {

Chain::Chain(std::size_t c, ImageSize size) {
  spec.inputs = {{Dtype::kFloat32, {1, c, size.h, size.w}}};
  spec.independent = true;
  spec.threads = 1;
}

void Chain::add(const std::string& op, const std::vector<ValueId>& constants, const TensorType& output,
                const Attributes& attributes) {
  NodeSpec node{op, "node " + std::to_string(spec.nodes.size()), {kNoValue}, {output}, attributes};
  node.inputs.insert(node.inputs.end(), constants.begin(), constants.end());
  spec.nodes.push_back(std::move(node));
}

GraphSpec Chain::graph(Algorithm algorithm) const {
  GraphSpec graph = spec;
  graph.algorithm = algorithm;
  for (std::size_t i = 0; i < memory.size(); ++i) graph.constants[i].data = memory[i].data();
  // Inputs, then constants, then outputs of nodes.
  ValueId last = 0;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    graph.nodes[i].inputs[0] = last;
    last = 1 + graph.constants.size() + i;
  }
  graph.outputs = {last};
  return graph;
}

InferenceProgram::InferenceProgram(const Chain& chain, Algorithm algorithm, double min_macs)
    : channels_(chain.channels()), graph_(chain.graph(algorithm), min_macs) {}

std::vector<Dims> InferenceProgram::dims_of(ImageSize size) const {
  if (size.h == 0 || size.w == 0)
    fail(code::kShape, "expected images of at least one pixel, received ", size.h, " x ", size.w);
  return {{1, channels_, size.h, size.w}};
}

MapShape InferenceProgram::output_shape(ImageSize size) const {
  const Dims dims = graph_.outputs(dims_of(size)).front().dims;
  return {1, dims[1], dims[2], dims[3]};
}

void InferenceProgram::run(ImageSize size, const ImageTask* tasks, std::size_t count, const std::atomic<bool>& stop) {
  std::vector<GraphTask> list(count);
  for (std::size_t i = 0; i < count; ++i)
    list[i] = {{reinterpret_cast<const std::byte*>(tasks[i].input.floats)},
               {reinterpret_cast<std::byte*>(tasks[i].output)},
               tasks[i].input.bytes != nullptr ? tasks[i].input : Image{}};
  graph_.run(dims_of(size), list.data(), count, stop);
}

}  // namespace qarepvgg::test
