// What the engine knows about an op. Each file of program/ops/ has one op, or a family with the same loops: how it is
// read from a node, its shapes, its packed weights and its steps. program/ops/table.cc finds ops by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/parallel.h"
#include "kernels/kernel_table.h"
#include "ops/byte_map.h"
#include "ops/feature_map.h"
#include "ops/input_image.h"
#include "ops/quantization.h"
#include "program/graph.h"
#include "program/share.h"

namespace qarepvgg {

// The layout of a value in memory: row-major, or a map (ops/feature_map.h) with dims [n, c, h, w].
enum class Layout { kPlain, kMap };

struct ValueType {
  TensorType tensor;
  Layout layout = Layout::kPlain;
  std::size_t halo = 0;  // of a map
  // For a map of integers, whose elements are as wide as the instruction set multiplies (ops/byte_map.h).
  std::optional<Quantization> quantization{};
  std::size_t element = sizeof(float);  // of a map: bytes of an element

  const Dims& dims() const { return tensor.dims; }
  Dtype type() const { return tensor.type; }
  std::uint8_t zero_point() const { return quantization ? quantization->zero_point() : std::uint8_t{0}; }
  MapShape map() const { return {dims()[0], dims()[1], dims()[2], dims()[3], halo}; }
  std::size_t bytes() const { return layout == Layout::kMap ? checked_mul(map().floats(), element) : tensor.bytes(); }
};

// What an op knows about an operand while it is made.
struct Source {
  bool given = false;  // false for an absent optional operand
  TensorType tensor;
  Layout layout = Layout::kPlain;              // the layout that it has; another one costs a conversion
  const std::byte* constant = nullptr;         // its elements if they are constant; valid until weights are packed
  std::optional<Quantization> quantization{};  // of integers in a map

  const Dims& dims() const { return tensor.dims; }
  const float* floats() const { return reinterpret_cast<const float*>(constant); }
};

// Memory of the operands and outputs of a step in a run.
struct Operands {
  std::byte* const* inputs;
  std::byte* const* outputs;
  Image image{};  // the run's first input, if it is an image of bytes

  const float* input(std::size_t i) const { return reinterpret_cast<const float*>(inputs[i]); }
  float* output(std::size_t i = 0) const { return reinterpret_cast<float*>(outputs[i]); }
  FeatureMap input_map(std::size_t i, const MapShape& shape) const {
    return {reinterpret_cast<float*>(inputs[i]), shape};
  }
  FeatureMap output_map(const MapShape& shape) const { return {output(), shape}; }
  // Maps with elements of any width.
  ByteMap input_bytes(std::size_t i, const ValueType& type) const { return {inputs[i], type.map(), type.element}; }
  ByteMap output_bytes(std::size_t i, const ValueType& type) const { return {outputs[i], type.map(), type.element}; }
};

// An op planned for fixed shapes and a size of team. Its work is independent items: no two write the same memory. They
// write all lanes of a map's pixels, and nothing of its halo. Running allocates nothing.
class Step {
 public:
  explicit Step(const Share& share) : items_(share.items), pieces_(pieces_of(share)), size_(share.size) {}
  virtual ~Step() = default;
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  std::size_t pieces() const { return pieces_; }
  double size() const { return size_; }
  // Scratch of each member, aligned to cache lines.
  virtual std::size_t scratch_bytes() const { return 0; }
  // `first`: the scratch holds nothing of this step yet.
  void run_piece(const Operands& at, std::byte* scratch, std::size_t piece, bool first) const {
    run_items(at, scratch, even_tile(items_, pieces_, piece), first);
  }
  void run_all(const Operands& at, std::byte* scratch) const { run_items(at, scratch, {0, items_}, true); }

 private:
  virtual void run_items(const Operands& at, std::byte* scratch, const Tile& items, bool first) const = 0;

  std::size_t items_, pieces_;
  double size_;
};

// A node with its weights.
class Op {
 public:
  virtual ~Op() = default;
  // How the step reads an operand. kNone for constants that `pack` has copied.
  enum class Access { kNone, kPlain, kMap };
  virtual Access access(std::size_t input) const = 0;
  // How many zero pixels it reads around an operand that is a map.
  virtual std::size_t halo(std::size_t /*input*/) const { return 0; }
  // Types of the outputs, without halos.
  virtual std::vector<ValueType> outputs() const = 0;
  // An operand that the output may overwrite if nothing else reads it: a map with the same dims, each element of which
  // is read before it is overwritten. kNoValue if there is none.
  virtual std::size_t replaces() const { return kNoValue; }
  // Where the elements of an output are among those of operand 0, if they are consecutive there, all plain: their first
  // byte. Then the output is that part of the operand's memory, and the op has no step.
  virtual std::optional<std::size_t> offset_in_operand(std::size_t /*output*/) const { return std::nullopt; }
  // The reverse: where an operand is in the output. An operand that is computed into that place is not copied there.
  virtual std::optional<std::size_t> offset_in_output(std::size_t /*input*/) const { return std::nullopt; }
  // Whether its output, a plain tensor, can be a map instead: what its first reader wants (OpContext::wanted).
  virtual bool may_be_map() const { return false; }
  // Whether its step applies the node's activation; otherwise a separate step follows.
  virtual bool applies_activation() const { return false; }
  // Multiply-adds of a run.
  virtual double macs() const { return 0; }
  virtual std::size_t weight_bytes() const { return 0; }
  // packed: weight_bytes() bytes, aligned to cache lines, that outlive the op.
  virtual void pack(std::byte* /*packed*/, int /*threads*/) {}
  // Instead of pack(): uses the weights that another op has packed, if this one would pack the same. Returns whether it
  // does.
  virtual bool adopt(const Op& /*packed*/) { return false; }
  // The same op, with the same packed weights, for operands with another size or number of images. Null if it can only
  // be used for the dims that it was made for.
  virtual std::unique_ptr<Op> resized(const std::vector<ValueType>& /*inputs*/) const { return nullptr; }
  // An op that computes operand 0 itself, part by part, instead of reading the output of `front`, which nothing else
  // reads. It has the operands of this op, but instead of operand 0 that of `front`. Null if there is none. `front` is
  // packed as before and outlives the new op.
  virtual std::unique_ptr<Op> behind(const Op& /*front*/) const { return nullptr; }
  // Whether its step can read an image of bytes.
  virtual bool takes_bytes() const { return false; }
  // `inputs` and `outputs` have their final halos.
  virtual std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                                     std::size_t members) const = 0;
};

// A node and its operands, which an op is made from.
struct OpContext {
  const NodeSpec& node;
  const std::vector<Source>& inputs;
  Algorithm algorithm;
  Layout wanted = Layout::kPlain;  // of the output, if it may be a map

  const Attributes& attributes() const { return node.attributes; }
  // Throws ERR_INVALID_ARG unless the node has from `least` to `most` operands and the first `least` are present.
  void expect_inputs(std::size_t least, std::size_t most) const;
  bool is_given(std::size_t input) const { return input < inputs.size() && inputs[input].given; }
  // Returns an operand that must be floats.
  const Source& floats(std::size_t input) const;
};

// Calls `body` for a node; its errors name the node.
template <class Body>
auto at_node(const NodeSpec& node, const Body& body) {
  try {
    return body();
  } catch (const Error& error) {
    throw Error(error.code(), "node '" + node.name + "' (" + node.op + "): " + error.what());
  }
}

// Makes the op of a node. Throws ERR_MODEL_INCOMPATIBLE for an unknown op, ERR_INVALID_ARG or ERR_SHAPE for an
// inconsistent node; all name the node.
std::unique_ptr<Op> make_op(const OpContext& context);

}  // namespace qarepvgg
