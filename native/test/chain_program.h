// A network for inference that is a chain: a graph with one input, images, each node of which reads the one before it.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

#include "program/infer/graph_program.h"
#include "test/graph_maker.h"

namespace qarepvgg::test {

// One image of a run.
struct ImageTask {
  Image input;
  float* output;  // has InferenceProgram::output_shape of the image's size
};

struct ImageSize {
  std::size_t h, w;
  bool operator==(const ImageSize& other) const { return h == other.h && w == other.w; }
};

struct Chain : Maker {
  Chain(std::size_t c, ImageSize size);

  ImageSize size() const { return {spec.inputs[0].dims[2], spec.inputs[0].dims[3]}; }
  std::size_t channels() const { return spec.inputs[0].dims[1]; }
  // `constants`: the operands after the first, which are added before.
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

}  // namespace qarepvgg::test
