#include "binding/graph_spec.h"

#include <algorithm>

#include "base/threads.h"
#include "binding/arguments.h"
#include "binding/array_types.h"
#include "binding/early_binding.h"

namespace qarepvgg::binding {
namespace {

TensorType read_type(const Napi::Object& object) {
  const TensorType type{dtype_of(string_of(object, "type")), read_dims(object, "dims")};
  type.bytes();  // throws if the tensor is too large
  return type;
}

Attributes::Value read_attribute(const Napi::Value& value, const char* name) {
  if (value.IsBoolean()) return value.As<Napi::Boolean>().Value() ? 1.0 : 0.0;
  if (value.IsString()) return value.As<Napi::String>().Utf8Value();
  if (!value.IsArray()) return to_number(value, name);
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<double> numbers;
  for (std::uint32_t i = 0; i < array.Length(); ++i) numbers.push_back(to_number(get(array, i), name));
  return numbers;
}

Algorithm algorithm_of(const Napi::Object& object) {
  const std::string name = string_of(object, "algorithm");
  if (name == "auto") return Algorithm::kAuto;
  if (name == "gemm") return Algorithm::kGemm;
  if (name == "winograd") return Algorithm::kWinograd;
  fail(code::kInvalidArg, "expected algorithm to be auto, gemm or winograd, received '", name, "'");
}

// Smaller buffers are copied, which takes no longer. Node's pooled buffers are small, too, and cannot be detached.
constexpr std::size_t kLargeBuffer = 1 << 16;

Span<std::byte> elements_of(const Borrow& borrow, const Napi::Value& array, const TensorType& type) {
  return borrow.bytes(array, "a constant", array_type_of(type.type).type, type.elements());
}

bool is_in_large_buffer(const Napi::Value& array) {
  return array.IsTypedArray() && array.As<Napi::TypedArray>().ArrayBuffer().ByteLength() >= kLargeBuffer;
}

// A constant as it is given.
struct Given {
  Napi::Value array, factors;
  bool is_taken;
};

// The factors of floats, copied.
ScaledRows scaled_rows(const Borrow& borrow, const Given& given, const Span<std::byte>& elements, Dtype type) {
  if (type != Dtype::kFloat32) fail(code::kDtype, "expected factors of floats, and of no others");
  const Span<double> factors = borrow.array<double>(given.factors, "factors");
  const std::size_t count = elements.size / sizeof(float);
  if (factors.size == 0 || count % factors.size != 0)
    fail(code::kBufferSize, "expected factors for rows of equal length, received ", factors.size, " for ", count,
         " elements");
  return {reinterpret_cast<float*>(elements.data), count / factors.size, {factors.data, factors.data + factors.size}};
}

// Constants may share memory, such as one tensor with two lists of dims. Those that are multiplied where they are must
// be alone there, so they are copied; the memory of the others must not return to the system before all of them are
// packed.
void part_overlaps(std::vector<Given>& given, std::vector<Constant>& constants) {
  struct Range {
    const std::byte *begin, *end;
    std::size_t index;
  };
  std::vector<Range> ranges;
  const Borrow borrow;
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (!given[i].is_taken) continue;
    const Span<std::byte> elements = elements_of(borrow, given[i].array, constants[i].type);
    ranges.push_back({elements.data, elements.data + elements.size, i});
  }
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  const std::byte* end = nullptr;  // of all ranges so far
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const bool overlaps = ranges[i].begin < end || (i + 1 < ranges.size() && ranges[i + 1].begin < ranges[i].end);
    end = std::max(end, ranges[i].end);
    if (!overlaps) continue;
    const std::size_t index = ranges[i].index;
    if (given[index].factors.IsUndefined())
      constants[index].is_owned = false;
    else
      given[index].is_taken = false;
  }
}

// Copies the constants that are not taken into one block, which can have huge pages and returns to the system when the
// weights have been packed.
AlignedBuffer copy_constants(const std::vector<Given>& given, std::vector<Constant>& constants) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < given.size(); ++i)
    if (!given[i].is_taken) bytes = checked_add(bytes, round_up(constants[i].type.bytes(), kAlignment));
  AlignedBuffer memory(bytes / sizeof(float));
  auto* next = reinterpret_cast<std::byte*>(memory.data());
  const Borrow borrow;
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (given[i].is_taken) continue;
    const Span<std::byte> elements = elements_of(borrow, given[i].array, constants[i].type);
    if (given[i].factors.IsUndefined())
      std::copy_n(elements.data, elements.size, next);
    else
      scaled_rows(borrow, given[i], elements, constants[i].type.type).multiply_into(reinterpret_cast<float*>(next));
    constants[i].data = next;
    next += round_up(elements.size, kAlignment);
  }
  return memory;
}

// Takes the memory of constants; those with factors are added to `scaled`. The returned buffers must live while the
// constants are read.
Napi::Array take_constants(Napi::Env env, const std::vector<Given>& given, std::vector<Constant>& constants,
                           std::vector<ScaledRows>& scaled) {
  std::vector<std::size_t> taken_ones;
  std::vector<Napi::Value> list;
  for (std::size_t i = 0; i < given.size(); ++i)
    if (given[i].is_taken) {
      taken_ones.push_back(i);
      list.push_back(given[i].array);
    }
  if (list.empty()) return Napi::Array::New(env);
  const TakenMemory taken = take_memory(env, list, [&](const Borrow& borrow, std::size_t i) {
    const TensorType& type = constants[taken_ones[i]].type;
    const Span<std::byte> elements = elements_of(borrow, list[i], type);
    const Given& one = given[taken_ones[i]];
    if (!one.factors.IsUndefined()) scaled.push_back(scaled_rows(borrow, one, elements, type.type));
  });
  auto rows = scaled.begin();
  for (std::size_t i = 0; i < list.size(); ++i) {
    constants[taken_ones[i]].data = taken.data[i];
    if (given[taken_ones[i]].factors.IsUndefined()) continue;
    rows->floats = reinterpret_cast<float*>(const_cast<std::byte*>(taken.data[i]));
    ++rows;
  }
  return taken.buffers;
}

// Reads everything but the elements of constants.
std::vector<Given> read_spec(const Napi::Object& object, GraphSpec& spec) {
  for_each(object, "inputs",
           [&](const Napi::Value& value) { spec.inputs.push_back(read_type(object_of(value, "an input"))); });
  for_each(object, "nodes", [&](const Napi::Value& value) {
    const Napi::Object node = object_of(value, "a node");
    spec.nodes.push_back(read_node(node));
    for_each(node, "outputs", [&](const Napi::Value& output) {
      spec.nodes.back().outputs.push_back(read_type(object_of(output, "a result")));
    });
  });
  for_each(object, "outputs", [&](const Napi::Value& value) { spec.outputs.push_back(to_size(value, "an output")); });
  spec.independent = flag_of(object, "independent");
  spec.together = size_of(object, "together", 1);
  spec.algorithm = algorithm_of(object);
  spec.threads = read_threads(object);
  std::vector<Given> given;
  for_each(object, "constants", [&](const Napi::Value& value) {
    const Napi::Object constant = object_of(value, "a constant");
    spec.constants.push_back({read_type(constant), nullptr, true});
    const Napi::Value array = get(constant, "data"), factors = get(constant, "factors");
    const bool take = flag_of(constant, "take");
    given.push_back({array, factors, take && is_in_large_buffer(array)});
  });
  return given;
}

}  // namespace

Dims read_dims(const Napi::Object& object, const char* name) {
  Dims dims;
  for_each(object, name, [&](const Napi::Value& value) { dims.push_back(to_size(value, "a dim")); });
  return dims;
}

NodeSpec read_node(const Napi::Object& object) {
  NodeSpec node;
  node.op = string_of(object, "op");
  node.name = string_of(object, "name");
  for_each(object, "inputs", [&](const Napi::Value& value) {
    const bool absent = value.IsNumber() && value.As<Napi::Number>().DoubleValue() == -1;
    node.inputs.push_back(absent ? kNoValue : to_size(value, "an operand"));
  });
  const Napi::Object attributes = object_of(get(object, "attributes"), "attributes");
  const Napi::Array names = attributes.GetPropertyNames();
  for (std::uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = get(names, i).ToString().Utf8Value();
    node.attributes.set(name, read_attribute(get(attributes, name.c_str()), name.c_str()));
  }
  return node;
}

int read_threads(const Napi::Object& object) {
  const std::size_t threads = size_of(object, "threads", 0);
  if (threads > static_cast<std::size_t>(kMaxThreads))
    fail(code::kInvalidArg, "expected at most ", kMaxThreads, " threads, received ", threads);
  return static_cast<int>(threads);
}

void ScaledRows::multiply_into(float* out) const {
  const float* from = floats;
  for (const double factor : factors)
    for (const float* end = from + length; from < end; ++from, ++out)
      *out = static_cast<float>(static_cast<double>(*from) * factor);
}

void OwnedGraph::finish() {
  for (const ScaledRows& rows : scaled) {
    if (spec.early != nullptr) spec.early->forget(reinterpret_cast<const std::byte*>(rows.floats));
    rows.multiply_into(rows.floats);
  }
  scaled.clear();
}

GivenGraph read_graph(const Napi::Object& object) {
  OwnedGraph graph;
  GraphSpec& spec = graph.spec;
  std::vector<Given> given = read_spec(object, spec);
  if (!get(object, "byteScale").IsUndefined()) {
    const Dims& dims = spec.inputs.empty() ? Dims{} : spec.inputs[0].dims;
    graph.bytes = std::make_shared<ByteScale>(byte_scale_of(object, dims.size() < 2 ? 0 : dims[1]));
  }
  spec.early = take_early_weights(get(object, "early"));
  part_overlaps(given, spec.constants);
  // First: constants of both kinds may lie in one buffer.
  graph.memory = copy_constants(given, spec.constants);
  const Napi::Array taken = take_constants(object.Env(), given, spec.constants, graph.scaled);
  return {std::move(graph), taken};
}

LentGraph read_lent_graph(const Napi::Object& object) {
  LentGraph graph{{}, Napi::Array::New(object.Env())};
  const std::vector<Given> given = read_spec(object, graph.spec);
  for (std::uint32_t i = 0; i < given.size(); ++i) graph.arrays.Set(i, given[i].array);
  const Borrow borrow;
  for (std::size_t i = 0; i < given.size(); ++i) {
    Constant& constant = graph.spec.constants[i];
    constant.data = elements_of(borrow, given[i].array, constant.type).data;
  }
  return graph;
}

}  // namespace qarepvgg::binding
