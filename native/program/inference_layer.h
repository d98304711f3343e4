// A layer of an inference program: its packed weights, and plans to run it for given shapes.
#pragma once

#include <cstddef>
#include <memory>

#include "base/parallel.h"
#include "ops/byte_map.h"
#include "ops/stem_convolution.h"
#include "program/spec.h"

namespace qarepvgg {

enum class Algorithm { kAuto, kGemm, kWinograd };

// What a step works on: a map, or for the first step of a program one image.
struct StepInput {
  ByteMap map;
  Image image;
};

// A layer planned for fixed shapes and team. Runs inside a parallel region, allocates nothing and does not wait for the
// other members.
class InferenceStep {
 public:
  virtual ~InferenceStep() = default;
  // Of each member of the team; aligned to cache lines.
  virtual std::size_t scratch_bytes() const { return 0; }
  virtual void run_part(const StepInput& in, const ByteMap& out, std::byte* scratch, const Member& member) const = 0;
};

// What a map is made of: floats, or integers whose halo and padding lanes hold a zero point.
struct Elements {
  std::size_t bytes = sizeof(float);
  std::uint8_t zero_point = 0;

  bool operator==(const Elements& other) const { return bytes == other.bytes && zero_point == other.zero_point; }
};

class InferenceLayer {
 public:
  virtual ~InferenceLayer() = default;
  virtual MapShape output(const MapShape& input) const = 0;
  // Of the output.
  virtual Elements elements() const { return {}; }
  virtual std::size_t input_halo() const { return 0; }
  // Multiply-accumulate steps for such an input; 0 where they hardly count.
  virtual double macs(const MapShape& /*input*/) const { return 0; }
  virtual std::size_t weight_bytes() const { return 0; }
  // state: as the op's offsets say; packed: weight_bytes() of memory, aligned to cache lines, that outlives the layer.
  virtual void pack(const float* /*state*/, std::byte* /*packed*/, int /*threads*/) {}
  virtual std::unique_ptr<InferenceStep> plan(const MapShape& input, std::size_t members) const = 0;
};

// The layer of an op; `input` is the shape of its input at the program's nominal size. Which algorithm a convolution
// runs depends on this shape and the instruction set alone.
std::unique_ptr<InferenceLayer> make_inference_layer(const OpSpec& op, const MapShape& input, Algorithm algorithm);

// The first layer of every program reads images: a convolution of few channels, with the op that quantises its input
// where there is one, does so itself; others need their input imported first, which takes floats only. Number of the
// ops that such a convolution takes together, or 0.
std::size_t stem_ops(const ProgramSpec& spec);
// The layer of so many first ops.
std::unique_ptr<InferenceLayer> make_stem_layer(const ProgramSpec& spec, std::size_t ops, const MapShape& input);
std::unique_ptr<InferenceLayer> make_import_layer();

}  // namespace qarepvgg
