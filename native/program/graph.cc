#include "program/graph.h"

#include <cmath>

namespace qarepvgg {
namespace {

struct TypeName {
  Dtype type;
  const char* name;
  std::size_t bytes;
};
constexpr TypeName kTypes[]{{Dtype::kFloat32, "float32", 4}, {Dtype::kUint8, "uint8", 1}, {Dtype::kInt8, "int8", 1},
                            {Dtype::kInt32, "int32", 4},     {Dtype::kInt64, "int64", 8}, {Dtype::kBool, "bool", 1}};

const TypeName& entry_of(Dtype type) {
  for (const TypeName& entry : kTypes)
    if (entry.type == type) return entry;
  fail(code::kInvalidArg, "expected a type of elements");
}

// The largest whole number up to which a double holds all whole numbers.
constexpr double kMaxWhole = 9007199254740991.0;

std::ptrdiff_t whole(const std::string& name, double value) {
  if (!(std::fabs(value) <= kMaxWhole) || value != std::floor(value))
    fail(code::kInvalidArg, "expected ", name, " to be a whole number, received ", value);
  return static_cast<std::ptrdiff_t>(value);
}

std::size_t whole_size(const std::string& name, double value) {
  if (!(value >= 0)) fail(code::kInvalidArg, "expected ", name, " to be a whole number from 0, received ", value);
  return static_cast<std::size_t>(whole(name, value));
}

}  // namespace

std::size_t bytes_of(Dtype type) { return entry_of(type).bytes; }

const char* name_of(Dtype type) { return entry_of(type).name; }

Dtype dtype_of(const std::string& name) {
  for (const TypeName& entry : kTypes)
    if (name == entry.name) return entry.type;
  fail(code::kInvalidArg, "expected a type of float32, uint8, int8, int32, int64 or bool, received '", name, "'");
}

std::size_t elements_of(const Dims& dims) {
  std::size_t product = 1;
  for (std::size_t dim : dims) product = checked_mul(product, dim);
  return product;
}

std::string text_of(const Dims& dims) {
  std::string text = "[";
  for (std::size_t i = 0; i < dims.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(dims[i]);
  return text + "]";
}

const Attributes::Value& Attributes::at(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) fail(code::kInvalidArg, "expected an attribute ", name, ", received none");
  return found->second;
}

double Attributes::number(const std::string& name) const {
  if (const auto* value = std::get_if<double>(&at(name))) return *value;
  fail(code::kInvalidArg, "expected ", name, " to be a number, received another kind");
}

std::size_t Attributes::size(const std::string& name) const { return whole_size(name, number(name)); }

const std::string& Attributes::text(const std::string& name) const {
  if (const auto* value = std::get_if<std::string>(&at(name))) return *value;
  fail(code::kInvalidArg, "expected ", name, " to be a text");
}

const std::vector<double>& Attributes::numbers(const std::string& name) const {
  if (const auto* value = std::get_if<std::vector<double>>(&at(name))) return *value;
  fail(code::kInvalidArg, "expected ", name, " to be a list of numbers");
}

std::vector<std::size_t> Attributes::sizes(const std::string& name) const {
  std::vector<std::size_t> sizes;
  for (double value : numbers(name)) sizes.push_back(whole_size(name, value));
  return sizes;
}

std::vector<std::size_t> Attributes::sizes(const std::string& name, std::size_t count) const {
  std::vector<std::size_t> list = sizes(name);
  if (list.size() != count)
    fail(code::kInvalidArg, "expected ", name, " to have ", count, " entries, received ", list.size());
  return list;
}

std::vector<std::ptrdiff_t> Attributes::integers(const std::string& name) const {
  std::vector<std::ptrdiff_t> list;
  for (double value : numbers(name)) list.push_back(whole(name, value));
  return list;
}

}  // namespace qarepvgg
