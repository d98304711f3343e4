// Images from JavaScript: Float32Array [n, c, h, w], or Uint8Array [n, h, w, c] with a scale for each channel.
#pragma once

#include <cstdint>
#include <napi.h>
#include <vector>

#include "base/arena.h"
#include "binding/arguments.h"
#include "ops/input_image.h"

namespace qarepvgg::binding {

// The value of a byte is byte * scale + shift of its channel. Must outlive the images that refer to it.
struct ByteScale {
  std::vector<float> scale, shift;
};
// Reads the properties byteScale and byteShift; the defaults are 1 and 0.
ByteScale byte_scale_of(const Napi::Object& object, std::size_t channels);

// Borrowed memory.
struct ImageMemory {
  const float* floats = nullptr;
  const std::uint8_t* bytes = nullptr;
  std::size_t elements = 0;
};
// Throws ERR_DTYPE, ERR_BUFFER_SIZE or ERR_BUFFER_DETACHED.
ImageMemory image_memory_of(const Borrow& borrow, const Napi::Value& value, std::size_t elements);

// A copy that a job can keep.
class ImageCopy {
 public:
  ImageCopy() = default;
  explicit ImageCopy(const ImageMemory& memory);
  ImageMemory memory() const;

 private:
  AlignedBuffer buffer_;  // has huge pages if it is large, because the JavaScript thread waits for the copy
  bool holds_bytes_ = false;
  std::size_t elements_ = 0;
};

// Cuts the memory into `count` equal images.
std::vector<Image> images_in(const ImageMemory& memory, std::size_t count, const ByteScale& scale);

}  // namespace qarepvgg::binding
