// The part of a compiled graph that does not depend on the size of images: ops with packed weights, and stages that
// read and write buffers.
#pragma once

#include <string>
#include <vector>

#include "base/arena.h"
#include "program/op.h"

namespace qarepvgg {

using BufferId = std::size_t;
inline constexpr BufferId kNoBuffer = static_cast<BufferId>(-1);

// A value in one of its layouts, and where it is stored.
struct Buffer {
  // kPart: the elements are some of another buffer's.
  enum class Home { kMemory, kInput, kOutput, kConstant, kPart };

  ValueType type;  // for the dims that the graph was made for, without halo
  Home home = Home::kMemory;
  std::size_t index = 0;   // of the input or output; of the buffer that a part is in
  std::size_t offset = 0;  // of a constant in the weights, or of a part: bytes
};

// An op, a conversion or an activation, with the buffers that it reads and writes.
struct StageLayout {
  enum class Job { kOp, kImport, kExport, kCopy, kActivation };

  Job job;
  std::size_t op = 0;        // of kOp
  UnaryFunction activation;  // of kActivation
  std::vector<BufferId> inputs, outputs;
  bool is_done = false;  // there is nothing to compute: the outputs are where the inputs are
};

struct GraphLayout {
  std::vector<std::unique_ptr<Op>> ops;
  std::vector<std::string> names;  // of the ops: "conv backbone.stem"
  std::vector<Buffer> buffers;     // inputs first
  std::vector<StageLayout> stages;
  std::vector<BufferId> outputs;                // with the dims of the graph's outputs
  AlignedBuffer weights;                        // of the others
  std::shared_ptr<const EarlyWeights> early{};  // of some ops
};

// Throws the errors of make_op, and ERR_OUT_OF_MEMORY. The spec's constants are not read after it returns.
GraphLayout make_layout(const GraphSpec& spec, int threads);

}  // namespace qarepvgg
