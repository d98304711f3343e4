#include "base/arena.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "base/checked.h"

namespace qarepvgg {

namespace {

#ifdef __linux__
constexpr std::size_t kHugePage = 2 << 20;
constexpr std::size_t kMappedFrom = kHugePage;

std::size_t page_bytes() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

// Bytes from an address to the next boundary of huge pages.
std::size_t to_huge_page(const void* data) {
  return (kHugePage - reinterpret_cast<std::uintptr_t>(data) % kHugePage) % kHugePage;
}

// Maps zero pages on a huge-page boundary; null if the system refuses.
void* map_pages(std::size_t bytes) {
  const std::size_t asked = checked_add(bytes, kHugePage);
  void* memory = mmap(nullptr, asked, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  char* first = static_cast<char*>(memory);
  const std::size_t before = to_huge_page(first);
  char* start = first + before;
  if (before > 0) munmap(first, before);
  if (before < kHugePage) munmap(start + bytes, kHugePage - before);
  advise_huge_pages(start, bytes);
  return start;
}
#endif

}  // namespace

std::size_t advise_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef __linux__
  if (bytes < kMappedFrom) return 0;
  char* const start = static_cast<char*>(data);
  const std::size_t before = to_huge_page(start);
  madvise(start + before, (bytes - before) / kHugePage * kHugePage, MADV_HUGEPAGE);  // a wish: small pages do as well
  return before;
#else
  return 0;
#endif
}

void drop_pages([[maybe_unused]] const void* data, [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef __linux__
  const std::size_t page = page_bytes(), first = reinterpret_cast<std::uintptr_t>(data);
  const std::size_t start = round_up(first, page), end = (first + bytes) / page * page;
  if (start < end) madvise(reinterpret_cast<void*>(start), end - start, MADV_DONTNEED);  // a wish, too
#endif
}

AlignedBuffer::AlignedBuffer(std::size_t floats) : size_(floats) {
  const std::size_t bytes = checked_add(checked_mul(floats, sizeof(float)), kAlignment);
  void* memory = nullptr;
  Free free{0};
#ifdef __linux__
  if (bytes >= kMappedFrom) {
    // A last huge page that would be mostly empty counts as memory in use, so small ones take its place.
    const std::size_t last = bytes % kHugePage;
    free.mapped_bytes = round_up(bytes, last > kHugePage / 2 ? kHugePage : page_bytes());
    memory = map_pages(free.mapped_bytes);
  } else
#endif
  {
    memory = ::operator new(bytes, std::align_val_t{kAlignment}, std::nothrow);
    if (memory != nullptr) std::memset(memory, 0, bytes);
  }
  if (memory == nullptr) fail(code::kOutOfMemory, "expected ", bytes, " bytes of memory, the system has too little");
  data_ = std::unique_ptr<float, Free>(static_cast<float*>(memory), free);
}

void AlignedBuffer::Free::operator()(float* data) const noexcept {
#ifdef __linux__
  if (mapped_bytes > 0) {
    munmap(data, mapped_bytes);
    return;
  }
#endif
  ::operator delete(data, std::align_val_t{kAlignment});
}

std::size_t ArenaPlanner::reserve(std::size_t floats, std::size_t first, std::size_t last) {
  floats = round_up(floats, kAlignedFloats);
  // First fit: the lowest gap between blocks whose lifetimes overlap this one.
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
