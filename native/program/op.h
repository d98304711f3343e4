// What the engine knows of an op. Each file of program/ops/ holds one op, or a family that shares its loops: how it is
// read from a node, its shapes, its packed weights and its steps. The table in op.cc finds them by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/parallel.h"
#include "kernels/kernel_table.h"
#include "ops/byte_map.h"
#include "ops/convolution.h"
#include "ops/feature_map.h"
#include "ops/quantization.h"
#include "ops/stem_convolution.h"
#include "program/graph.h"
#include "program/share.h"

namespace qarepvgg {

// How the elements of a value lie in memory: row-major, or as a map (ops/feature_map.h) of dims [n, c, h, w].
enum class Layout { kPlain, kMap };

struct ValueType {
  TensorType tensor;
  Layout layout = Layout::kPlain;
  std::size_t halo = 0;  // of a map
  // Of a map of integers, whose elements are as wide as the instruction set multiplies (ops/byte_map.h).
  std::optional<Quantization> quantization{};
  std::size_t element = sizeof(float);  // of a map: bytes

  const Dims& dims() const { return tensor.dims; }
  Dtype type() const { return tensor.type; }
  std::uint8_t zero_point() const { return quantization ? quantization->zero_point() : std::uint8_t{0}; }
  MapShape map() const { return {dims()[0], dims()[1], dims()[2], dims()[3], halo}; }
  std::size_t bytes() const { return layout == Layout::kMap ? checked_mul(map().floats(), element) : tensor.bytes(); }
};

// What an op is told of one of its operands while it is made.
struct Source {
  bool given = false;  // false: an optional operand that is absent
  TensorType tensor;
  Layout layout = Layout::kPlain;              // in which it is there already; another costs a conversion
  const std::byte* constant = nullptr;         // its elements where they never change; valid until weights are packed
  std::optional<Quantization> quantization{};  // of integers in a map

  const Dims& dims() const { return tensor.dims; }
  const float* floats() const { return reinterpret_cast<const float*>(constant); }
};

// Where operands and results of a step lie in a run.
struct Operands {
  std::byte* const* inputs;
  std::byte* const* outputs;
  Image image{};  // the run's first input, where it is an image of bytes

  const float* input(std::size_t i) const { return reinterpret_cast<const float*>(inputs[i]); }
  float* output(std::size_t i = 0) const { return reinterpret_cast<float*>(outputs[i]); }
  FeatureMap input_map(std::size_t i, const MapShape& shape) const {
    return {reinterpret_cast<float*>(inputs[i]), shape};
  }
  FeatureMap output_map(const MapShape& shape) const { return {output(), shape}; }
  // Maps of any elements.
  ByteMap input_bytes(std::size_t i, const ValueType& type) const { return {inputs[i], type.map(), type.element}; }
  ByteMap output_bytes(std::size_t i, const ValueType& type) const { return {outputs[i], type.map(), type.element}; }
};

// An op planned for fixed shapes and a size of team. Its work is items that do not depend on each other: no two write
// the same memory. They write all lanes of a map's pixels, and nothing of its halo. Running allocates nothing.
class Step {
 public:
  explicit Step(const Share& share) : items_(share.items), pieces_(pieces_of(share)), size_(share.size) {}
  virtual ~Step() = default;
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  std::size_t pieces() const { return pieces_; }
  double size() const { return size_; }
  // Of each member; aligned to cache lines.
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
  // How it reads an operand. Constants that `pack` has taken are not read again: kNone.
  enum class Access { kNone, kPlain, kMap };
  virtual Access access(std::size_t input) const = 0;
  // Zero pixels around that operand, of a map.
  virtual std::size_t halo(std::size_t /*input*/) const { return 0; }
  // Halos are none.
  virtual std::vector<ValueType> outputs() const = 0;
  // An operand that the result may take the place of, where nothing else reads it: a map of the same dims, each element
  // of which is read before the one in its place is written. kNoValue where there is none.
  virtual std::size_t replaces() const { return kNoValue; }
  // Whether its step applies the node's activation; else one of its own follows.
  virtual bool applies_activation() const { return false; }
  // Multiply-accumulates of a run.
  virtual double macs() const { return 0; }
  virtual std::size_t weight_bytes() const { return 0; }
  // packed: weight_bytes() of memory, aligned to cache lines, that outlives the op.
  virtual void pack(std::byte* /*packed*/, int /*threads*/) {}
  // The same op, with the weights that are packed, for operands of another size or number of images. Null where it is
  // made for one size and one image alone.
  virtual std::unique_ptr<Op> resized(const std::vector<ValueType>& /*inputs*/) const { return nullptr; }
  // Whether its step reads an image of bytes where there is one.
  virtual bool takes_bytes() const { return false; }
  // Types with the halos that they have got.
  virtual std::unique_ptr<Step> plan(const std::vector<ValueType>& inputs, const std::vector<ValueType>& outputs,
                                     std::size_t members) const = 0;
};

// What an op is made from.
struct OpContext {
  const NodeSpec& node;
  const std::vector<Source>& inputs;
  Algorithm algorithm;

  const Attributes& attributes() const { return node.attributes; }
  // Throws ERR_INVALID_ARG unless the node has from `least` to `most` operands, the first `least` of them present.
  void expect_inputs(std::size_t least, std::size_t most) const;
  // The type of an operand that must be floats.
  const Source& floats(std::size_t input) const;
};

// Makes the op of a node. Throws ERR_MODEL_INCOMPATIBLE for one that is not known, ERR_INVALID_ARG or ERR_SHAPE for one
// that contradicts itself, all naming the node.
std::unique_ptr<Op> make_op(const OpContext& context);

}  // namespace qarepvgg
