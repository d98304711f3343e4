#include "base/arena.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/checked.h"

namespace qarepvgg {

AlignedBuffer::AlignedBuffer(std::size_t floats) : size_(floats) {
  const std::size_t bytes = checked_add(checked_mul(floats, sizeof(float)), kAlignment);
  void* memory = ::operator new(bytes, std::align_val_t{kAlignment}, std::nothrow);
  if (memory == nullptr) fail(code::kOutOfMemory, "expected ", bytes, " bytes of memory, the system has too little");
  std::memset(memory, 0, bytes);
  data_.reset(static_cast<float*>(memory));
}

void AlignedBuffer::Free::operator()(float* data) const noexcept {
  ::operator delete(data, std::align_val_t{kAlignment});
}

std::size_t ArenaPlanner::reserve(std::size_t floats, std::size_t first, std::size_t last) {
  floats = round_up(floats, kAlignedFloats);
  // First fit: the lowest gap between blocks that are alive at the same time.
  std::size_t offset = 0;
  for (const Block& block : blocks_) {
    if (block.last < first || last < block.first) continue;
    if (offset + floats <= block.offset) break;
    offset = std::max(offset, block.offset + block.floats);
  }
  const Block placed{offset, floats, first, last};
  const auto after = [](const Block& a, const Block& b) { return a.offset < b.offset; };
  blocks_.insert(std::upper_bound(blocks_.begin(), blocks_.end(), placed, after), placed);
  size_ = std::max(size_, checked_add(offset, floats));
  return offset;
}

bool ArenaPlanner::overlaps(std::size_t offset, std::size_t floats) const {
  const auto meets = [&](const Block& block) {
    return block.floats != 0 && block.offset < offset + floats && offset < block.offset + block.floats;
  };
  return std::count_if(blocks_.begin(), blocks_.end(), meets) > 1;  // the range itself is one of them
}

}  // namespace qarepvgg
