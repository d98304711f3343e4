// Memory for the inputs and outputs that a run copies. Later runs reuse the buffers, because new memory is slow: the
// first touch of a page can cost more than the copy.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/arena.h"

namespace qarepvgg {

// Thread-safe.
class BufferPool {
 public:
  BufferPool();

  // Returns a buffer of at least `bytes` bytes with undefined content. Throws ERR_OUT_OF_MEMORY.
  AlignedBuffer take(std::size_t bytes);
  void give(AlignedBuffer buffer) noexcept;

 private:
  std::mutex mutex_;
  std::vector<AlignedBuffer> free_;
  std::size_t free_bytes_ = 0;
};

// A buffer that returns to its pool on destruction.
class PooledBuffer {
 public:
  PooledBuffer(const std::shared_ptr<BufferPool>& pool, std::size_t bytes) : pool_(pool), buffer_(pool->take(bytes)) {}
  PooledBuffer(PooledBuffer&&) noexcept = default;
  PooledBuffer& operator=(PooledBuffer&&) = delete;
  ~PooledBuffer() {
    if (pool_ != nullptr) pool_->give(std::move(buffer_));
  }

  std::byte* data() { return reinterpret_cast<std::byte*>(buffer_.data()); }
  const std::byte* data() const { return reinterpret_cast<const std::byte*>(buffer_.data()); }

 private:
  std::shared_ptr<BufferPool> pool_;  // null after a move
  AlignedBuffer buffer_;
};

}  // namespace qarepvgg
