// A network as data: the C++ side of `GraphSpec` in binding.d.ts. Values are numbered: inputs, then constants, then the
// outputs of the nodes in order. Nodes run in this order.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/checked.h"
#include "program/algorithm.h"

namespace qarepvgg {

using Dims = std::vector<std::size_t>;

enum class Dtype { kFloat32, kUint8, kInt8, kInt32, kInt64, kBool };
std::size_t bytes_of(Dtype type);
// Throws ERR_INVALID_ARG for an unknown name.
Dtype dtype_of(const std::string& name);
const char* name_of(Dtype type);

// Product of the dims. Throws ERR_SIZE_OVERFLOW.
std::size_t elements_of(const Dims& dims);
std::string text_of(const Dims& dims);  // "[1, 3, 224, 224]"

struct TensorType {
  Dtype type = Dtype::kFloat32;
  Dims dims;

  std::size_t elements() const { return elements_of(dims); }
  std::size_t bytes() const { return checked_mul(elements(), bytes_of(type)); }
  bool operator==(const TensorType& other) const { return type == other.type && dims == other.dims; }
};

// Numbers, texts and lists by name. Getters throw ERR_INVALID_ARG for an attribute of another kind, or an absent one
// unless they take a fallback.
class Attributes {
 public:
  using Value = std::variant<double, std::string, std::vector<double>>;

  void set(const std::string& name, Value value) { values_[name] = std::move(value); }
  bool has(const std::string& name) const { return values_.count(name) != 0; }

  double number(const std::string& name) const;
  double number(const std::string& name, double fallback) const { return has(name) ? number(name) : fallback; }
  bool flag(const std::string& name) const { return number(name, 0) != 0; }
  std::size_t size(const std::string& name) const;
  const std::string& text(const std::string& name) const;
  const std::vector<double>& numbers(const std::string& name) const;
  std::vector<std::size_t> sizes(const std::string& name) const;
  std::vector<std::size_t> sizes(const std::string& name, std::size_t count) const;
  std::vector<std::ptrdiff_t> integers(const std::string& name) const;

 private:
  const Value& at(const std::string& name) const;

  std::map<std::string, Value> values_;
};

using ValueId = std::size_t;
inline constexpr ValueId kNoValue = static_cast<ValueId>(-1);

struct NodeSpec {
  std::string op, name;
  std::vector<ValueId> inputs;  // kNoValue for an absent optional input
  std::vector<TensorType> outputs;
  Attributes attributes;
};

struct Constant {
  TensorType type;
  const std::byte* data;
  // Nothing else reads its memory: what it holds is lost as soon as weights are packed, and the system has it back.
  bool is_owned = false;
};

class EarlyWeights;

struct GraphSpec {
  std::vector<TensorType> inputs;
  std::vector<Constant> constants;
  std::vector<NodeSpec> nodes;
  std::vector<ValueId> outputs;
  // Each image of a batch is computed independently: dims are those of one image, and a run takes any number of images.
  bool independent = false;
  // At most how many images one thread takes through the graph together.
  std::size_t together = 1;
  Algorithm algorithm = Algorithm::kAuto;
  int threads = 0;                        // upper limit; 0: the process's budget
  std::shared_ptr<EarlyWeights> early{};  // null if all weights are to be packed
};

}  // namespace qarepvgg
