// A network for inference that is a chain: a graph with one input, images, each node of which reads the one before it.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

#include "program/infer/graph_program.h"

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

// The attributes of a square window.
Attributes square_window(std::size_t kernel, std::size_t stride, std::size_t padding, std::size_t dilation = 1,
                         std::size_t groups = 1);
// Sets <prefix>Scale and <prefix>ZeroPoint.
void set_quantization(Attributes& attributes, const std::string& prefix, const Quantization& quantization);

struct Chain {
  GraphSpec spec;
  std::vector<std::vector<std::byte>> memory;  // of the constants

  Chain() = default;
  Chain(std::size_t c, ImageSize size);

  ImageSize size() const { return {spec.inputs[0].dims[2], spec.inputs[0].dims[3]}; }
  std::size_t channels() const { return spec.inputs[0].dims[1]; }
  // Adds a constant, for a node that is added later.
  template <class T>
  ValueId constant(Dtype type, Dims dims, const std::vector<T>& values) {
    const auto* first = reinterpret_cast<const std::byte*>(values.data());
    memory.emplace_back(first, first + values.size() * sizeof(T));
    spec.constants.push_back({{type, std::move(dims)}, nullptr});
    return spec.constants.size();
  }
  // `constants`: the operands after the first.
  void add(const std::string& op, const std::vector<ValueId>& constants, const TensorType& output,
           const Attributes& attributes);
  // The whole graph, whose constants point to this memory.
  GraphSpec graph(Algorithm algorithm) const;
};

class InferenceProgram {
 public:
  static constexpr double kMinMacs = GraphProgram::kMinMacs;

  InferenceProgram(const Chain& chain, Algorithm algorithm, double min_macs = kMinMacs);

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

  std::size_t channels_;
  GraphProgram graph_;
};

}  // namespace qarepvgg
