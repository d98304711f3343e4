// Aligned memory: a buffer that owns it, and a planner that places tensors with known lifetimes in one buffer.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace qarepvgg {

// One cache line, and one AVX-512 vector.
inline constexpr std::size_t kAlignment = 64;
inline constexpr std::size_t kAlignedFloats = kAlignment / sizeof(float);

// Asks the system for huge pages in memory that has not been touched yet: the first touch of a small page can cost more
// than computing its content. Returns where the first huge page begins; 0 for small buffers, and on systems without
// such a call.
std::size_t advise_huge_pages(void* data, std::size_t bytes) noexcept;

// Gives the whole pages of memory back to the system. What they hold is lost; they can be used as before.
void drop_pages(const void* data, std::size_t bytes) noexcept;

// Zero-filled floats on a 64-byte boundary, followed by 64 spare bytes that a full vector load may touch. Large buffers
// ask for huge pages. Throws ERR_OUT_OF_MEMORY.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t floats);

  float* data() noexcept { return data_.get(); }
  const float* data() const noexcept { return data_.get(); }
  std::size_t size() const noexcept { return size_; }
  std::size_t bytes() const noexcept { return size_ * sizeof(float); }

 private:
  struct Free {
    std::size_t mapped_bytes;  // 0: from operator new
    void operator()(float* data) const noexcept;
  };
  std::unique_ptr<float, Free> data_{nullptr, Free{0}};
  std::size_t size_ = 0;
};

// Assigns offsets in one buffer. A tensor is alive from the step that first writes it to the step that last reads it.
// Tensors whose lifetimes do not overlap may share memory.
class ArenaPlanner {
 public:
  // Reserves `floats` for steps first..last, both included. Returns the offset, a multiple of 16 floats.
  std::size_t reserve(std::size_t floats, std::size_t first, std::size_t last);
  std::size_t size() const noexcept { return size_; }
  // Whether a reserved range shares memory with another one.
  bool overlaps(std::size_t offset, std::size_t floats) const;

 private:
  struct Block {
    std::size_t offset, floats, first, last;
  };
  std::vector<Block> blocks_;  // sorted by offset
  std::size_t size_ = 0;
};

}  // namespace qarepvgg
