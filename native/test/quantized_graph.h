// Graphs of ops on integers for tests: built node by node, run on every instruction set.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "program/infer/graph_program.h"
#include "test/graph_maker.h"
#include "test/quantized_cases.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {

inline Dims dims_of(const reference::Dims& d) { return {d.n, d.c, d.h, d.w}; }
inline reference::Quantized plain(const Quantization& q) { return {q.scale(), q.zero_point()}; }

// Builds a graph that quantises floats, runs an op on integers, and dequantises its output.
struct QuantizedMaker : Maker {
  ValueId quantize(ValueId x, const Quantization& q) {
    Attributes attributes;
    set_quantization(attributes, "output", q);
    return node("quantize", {x}, {Dtype::kUint8, spec.inputs[x].dims}, attributes);
  }
  void set_output(ValueId result, const Dims& dims, const std::optional<Quantization>& q) {
    if (q) {
      Attributes attributes;
      set_quantization(attributes, "input", *q);
      result = node("dequantize", {result}, dims, attributes);
    }
    spec.outputs = {result};
  }
};

// Floats that `quantize` rounds to these integers.
inline Floats floats_of(const reference::Tensor& q, const Quantization& as) {
  const reference::Tensor x = reference::dequantize(q, plain(as));
  return {x.data.begin(), x.data.end()};
}

// Runs a graph on every instruction set with teams of several sizes, and compares its output.
inline void check_graph(GraphSpec& spec, const std::vector<Floats>& inputs, const reference::Values& expected,
                        const std::string& where) {
  std::vector<const std::byte*> from;
  for (const Floats& input : inputs) from.push_back(reinterpret_cast<const std::byte*>(input.data()));
  for (const KernelTable* kernels : available_kernels()) {
    const UseKernels use(*kernels);
    for (int threads : {1, 2, 3}) {
      spec.threads = threads;
      GraphProgram program(spec, 0);
      const std::atomic<bool> stop{false};
      for (int run = 0; run < 2; ++run) {  // the second run finds the memory of the first
        Floats output(expected.size());
        const GraphTask task{from, {reinterpret_cast<std::byte*>(output.data())}};
        program.run(&task, 1, stop);
        CHECK_VALUES(reference::Values(output.begin(), output.end()), expected, kEitherZero, kernels->isa, ", ",
                     threads, " threads, ", where);
      }
    }
  }
}

}  // namespace qarepvgg::test
