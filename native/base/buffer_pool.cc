#include "base/buffer_pool.h"

#include <algorithm>

#include "base/checked.h"

namespace qarepvgg {
namespace {

// Smaller buffers are not pooled: the allocator has memory for them.
constexpr std::size_t kLeastBytes = 1 << 16;
// Limits of what a pool keeps.
constexpr std::size_t kMostBuffers = 8;
constexpr std::size_t kMostBytes = 16 << 20;

}  // namespace

BufferPool::BufferPool() { free_.reserve(kMostBuffers); }

AlignedBuffer BufferPool::take(std::size_t bytes) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    // A buffer that is much larger is left for a larger request.
    const auto found = std::find_if(free_.begin(), free_.end(), [&](const AlignedBuffer& buffer) {
      return buffer.bytes() >= bytes && buffer.bytes() / 2 <= bytes;
    });
    if (found != free_.end()) {
      AlignedBuffer buffer = std::move(*found);
      free_.erase(found);
      free_bytes_ -= buffer.bytes();
      return buffer;
    }
  }
  return AlignedBuffer(ceil_div(bytes, sizeof(float)));
}

void BufferPool::give(AlignedBuffer buffer) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (buffer.bytes() < kLeastBytes || buffer.bytes() > kMostBytes - free_bytes_ || free_.size() == kMostBuffers) return;
  free_bytes_ += buffer.bytes();
  free_.push_back(std::move(buffer));
}

}  // namespace qarepvgg
