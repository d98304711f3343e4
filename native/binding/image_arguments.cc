#include "binding/image_arguments.h"

#include <algorithm>

#include "base/checked.h"

namespace qarepvgg::binding {

ByteScale byte_scale_of(const Napi::Object& object, std::size_t channels) {
  const auto read = [&](const char* name, float fallback) {
    const Napi::Value value = get(object, name);
    return value.IsUndefined() ? std::vector<float>(channels, fallback) : copy_of<float>(value, name, channels);
  };
  return {read("byteScale", 1.0f), read("byteShift", 0.0f)};
}

ImageMemory image_memory_of(const Borrow& borrow, const Napi::Value& value, std::size_t elements) {
  ImageMemory memory;
  memory.elements = elements;
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array)
    memory.bytes = borrow.array<std::uint8_t>(value, "images", elements);
  else
    memory.floats = borrow.floats(value, "images", elements);
  return memory;
}

ImageCopy::ImageCopy(const ImageMemory& memory)
    : buffer_(memory.bytes != nullptr ? ceil_div(memory.elements, sizeof(float)) : memory.elements),
      holds_bytes_(memory.bytes != nullptr),
      elements_(memory.elements) {
  if (holds_bytes_)
    std::copy_n(memory.bytes, elements_, reinterpret_cast<std::uint8_t*>(buffer_.data()));
  else
    std::copy_n(memory.floats, elements_, buffer_.data());
}

ImageMemory ImageCopy::memory() const {
  if (!holds_bytes_) return {buffer_.data(), nullptr, elements_};
  return {nullptr, reinterpret_cast<const std::uint8_t*>(buffer_.data()), elements_};
}

std::vector<Image> images_in(const ImageMemory& memory, std::size_t count, const ByteScale& scale) {
  std::vector<Image> images(count);
  const std::size_t elements = count == 0 ? 0 : memory.elements / count;
  for (std::size_t i = 0; i < count; ++i) {
    if (memory.bytes == nullptr)
      images[i].floats = memory.floats + i * elements;
    else
      images[i] = {nullptr, memory.bytes + i * elements, scale.scale.data(), scale.shift.data()};
  }
  return images;
}

}  // namespace qarepvgg::binding
