// Memory for what a run copies in and out: new memory is slow to get, the first touch of a page can cost more than the
// copy. Buffers that a run is done with serve the next one.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/arena.h"

namespace qarepvgg {

// May be used by several threads at a time.
class BufferPool {
 public:
  BufferPool();

  // At least so many bytes, of any content. Throws ERR_OUT_OF_MEMORY.
  AlignedBuffer take(std::size_t bytes);
  void give(AlignedBuffer buffer) noexcept;

 private:
  std::mutex mutex_;
  std::vector<AlignedBuffer> free_;
  std::size_t free_bytes_ = 0;
};

// A buffer of a pool, for as long as this lives.
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
  std::shared_ptr<BufferPool> pool_;  // null once moved from
  AlignedBuffer buffer_;
};

}  // namespace qarepvgg
