#include "binding/run_arguments.h"

#include <algorithm>

#include "base/checked.h"
#include "binding/array_types.h"

namespace qarepvgg::binding {
namespace {

bool is_bytes(const Napi::Value& value) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
}

}  // namespace

InputCopy::InputCopy(const InputMemory& memory, const std::shared_ptr<BufferPool>& pool)
    : buffer_(pool, memory.bytes), bytes_(memory.bytes), is_image_(memory.is_image) {
  std::copy_n(memory.data, bytes_, buffer_.data());
}

std::vector<InputMemory> RunArguments::borrow_inputs(const Borrow& borrow) const {
  std::vector<InputMemory> list;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const bool is_image = i == 0 && types[i] == Dtype::kFloat32 && is_bytes(inputs[i]);
    if (is_image && !takes_bytes)
      fail(code::kDtype, "expected a Float32Array: bytes are for networks of at most ", kMaxImageChannels,
           " input channels, received bytes");
    const std::size_t elements = checked_mul(count, elements_of(dims[i]));
    const napi_typedarray_type type = is_image ? napi_uint8_array : array_type_of(types[i]).type;
    const Span<std::byte> memory = borrow.bytes(inputs[i], is_image ? "images" : "an input", type, elements);
    list.push_back({memory.data, memory.size, is_image});
  }
  return list;
}

std::vector<Dims> read_dims(const Napi::Value& value, const GraphProgram& program) {
  std::vector<Dims> all;
  for (const TensorType& type : program.inputs()) all.push_back(type.dims);
  if (value.IsUndefined()) return all;
  const Napi::Array lists = array_of(value, "dims");
  if (lists.Length() != all.size())
    fail(code::kInvalidArg, "expected dims of ", all.size(), " inputs, received ", lists.Length());
  for (std::uint32_t i = 0; i < all.size(); ++i) {
    const Napi::Array list = array_of(get(lists, i), "dims of an input");
    Dims given;
    for (std::uint32_t axis = 0; axis < list.Length(); ++axis) given.push_back(to_size(get(list, axis), "a dim"));
    const bool is_one = !program.independent() || (!given.empty() && given[0] == all[i][0]);
    if (!is_one) fail(code::kShape, "expected the dims of one image, received ", text_of(given));
    all[i] = std::move(given);
  }
  return all;
}

RunArguments read_run(const Napi::CallbackInfo& info, const GraphProgram& program) {
  RunArguments run;
  const Napi::Array given = array_of(info[0], "inputs");
  run.count = to_size(info[1], "count");
  if (run.count == 0 || (run.count != 1 && !program.independent()))
    fail(code::kInvalidArg, "expected a count of 1", program.independent() ? " or more" : "", ", received ", run.count);
  run.dims = read_dims(info[2], program);
  run.takes_bytes = program.takes_bytes();
  if (given.Length() != run.dims.size())
    fail(code::kInvalidArg, "expected ", run.dims.size(), " inputs, received ", given.Length());
  // Iterates by count, because a getter of an element may make the list shorter.
  for (std::uint32_t i = 0; i < run.dims.size(); ++i) {
    run.inputs.push_back(get(given, i));
    run.types.push_back(program.inputs()[i].type);
  }
  return run;
}

void add_tasks(GraphRequest& request, const RunArguments& run, const std::vector<InputMemory>& inputs,
               const std::vector<std::byte*>& outputs, const ByteScale* scale) {
  request.dims = run.dims;
  request.tasks.resize(run.count);
  for (std::size_t i = 0; i < run.count; ++i) {
    GraphTask& task = request.tasks[i];
    for (const InputMemory& input : inputs) {
      const std::byte* data = input.data + i * (input.bytes / run.count);
      task.inputs.push_back(input.is_image ? nullptr : data);
      if (input.is_image)
        task.image = {nullptr, reinterpret_cast<const std::uint8_t*>(data), scale->scale.data(), scale->shift.data()};
    }
    for (std::size_t j = 0; j < outputs.size(); ++j) task.outputs.push_back(outputs[j] + i * run.outputs[j].bytes());
  }
}

}  // namespace qarepvgg::binding
