// Reads a GraphSpec of binding.d.ts, and what programs for training have in common with it.
#pragma once

#include <memory>
#include <napi.h>
#include <vector>

#include "base/arena.h"
#include "binding/image_arguments.h"
#include "program/graph.h"

namespace qarepvgg::binding {

// A property that is dims.
Dims read_dims(const Napi::Object& object, const char* name);
// A node without the types of its outputs.
NodeSpec read_node(const Napi::Object& object);
// The property `threads`, if there is one.
int read_threads(const Napi::Object& object);

// Rows of floats, each to be multiplied by its factor.
struct ScaledRows {
  float* floats;
  std::size_t length;  // of a row
  std::vector<double> factors;

  // In double, rounded once.
  void multiply_into(float* out) const;
};

// A graph and its constants, copied or taken: the caller's arrays are not read again.
struct OwnedGraph {
  // On any thread, once, before the spec is used: taken constants are multiplied where they are.
  void finish();

  GraphSpec spec;
  std::vector<ScaledRows> scaled;
  std::shared_ptr<const ByteScale> bytes;  // null if images are floats only
  AlignedBuffer memory;
};

struct GivenGraph {
  OwnedGraph graph;
  Napi::Array taken;  // ArrayBuffers with the constants that were taken; they must live while the constants are read
};

// Throws ERR_INVALID_ARG, ERR_DTYPE, ERR_BUFFER_*.
GivenGraph read_graph(const Napi::Object& object);

// A graph whose constants stay where they are: in arrays that must live, and not change, while they are read.
struct LentGraph {
  GraphSpec spec;
  Napi::Array arrays;
};

// Throws the same errors.
LentGraph read_lent_graph(const Napi::Object& object);

}  // namespace qarepvgg::binding
