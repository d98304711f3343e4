#include "test/guarded_memory.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <new>
#include <sys/mman.h>
#include <unistd.h>

namespace qarepvgg::test {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr std::size_t kSlotBytes = 1 << 20;

std::size_t page_bytes() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace

// Pages to use, between two that fault. Slots are kept for reuse: mapping memory anew for every tensor is slow.
struct GuardedMemory::Slot {
  explicit Slot(std::size_t size) : bytes(size) {
    const std::size_t page = page_bytes();
    void* memory = mmap(nullptr, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    begin = static_cast<char*>(memory) + page;
    if (mprotect(begin, size, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  }
  ~Slot() { munmap(begin - page_bytes(), bytes + 2 * page_bytes()); }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

  std::size_t bytes;
  char* begin = nullptr;
  bool free = true;
};

namespace {

GuardedMemory::Slot* free_slot(std::size_t bytes) {
  static std::vector<std::unique_ptr<GuardedMemory::Slot>> slots;
  for (const auto& slot : slots)
    if (slot->free && slot->bytes >= bytes) return slot.get();
  slots.push_back(std::make_unique<GuardedMemory::Slot>(round_up(std::max(bytes, kSlotBytes), page_bytes())));
  return slots.back().get();
}

}  // namespace

GuardedMemory::~GuardedMemory() {
  for (Slot* slot : taken_) slot->free = true;
}

float* GuardedMemory::take(std::size_t floats) {
  Slot* slot = free_slot(floats * sizeof(float));
  slot->free = false;
  taken_.push_back(slot);
  char* begin = rng_.chance(0.5) ? slot->begin : slot->begin + slot->bytes - floats * sizeof(float);
  float* data = reinterpret_cast<float*>(begin);
  std::fill_n(data, floats, kNaN);
  return data;
}

float* GuardedMemory::floats(std::size_t count) { return take(count); }

float* GuardedMemory::floats(const reference::Values& values) {
  float* data = take(values.size());
  std::transform(values.begin(), values.end(), data, [](double value) { return static_cast<float>(value); });
  return data;
}

FeatureMap GuardedMemory::map(const MapShape& shape) {
  const FeatureMap map{take(shape.floats() + kAlignedFloats), shape};
  std::fill_n(map.data, shape.floats(), 0.0f);
  reference::for_each_element({shape.n, 1, shape.h, shape.w}, [&](auto n, auto, auto y, auto x) {
    std::fill_n(map.at(n, static_cast<std::ptrdiff_t>(y), static_cast<std::ptrdiff_t>(x)), shape.c, kNaN);
  });
  return map;
}

FeatureMap GuardedMemory::map(const reference::Tensor& values, std::size_t halo) {
  const reference::Dims& dims = values.dims;
  const FeatureMap filled = map({dims.n, dims.c, dims.h, dims.w, halo});
  reference::for_each_element(dims, [&](auto n, auto c, auto y, auto x) {
    filled.at(n, static_cast<std::ptrdiff_t>(y), static_cast<std::ptrdiff_t>(x))[c] =
        static_cast<float>(values.at(n, c, y, x));
  });
  return filled;
}

reference::Values read(const float* data, std::size_t count) { return {data, data + count}; }

reference::Tensor read(const FeatureMap& map) {
  const MapShape& s = map.shape;
  reference::Tensor values(reference::Dims{s.n, s.c, s.h, s.w});
  reference::for_each_element(values.dims, [&](auto n, auto c, auto y, auto x) {
    values.at(n, c, y, x) =
        static_cast<double>(map.at(n, static_cast<std::ptrdiff_t>(y), static_cast<std::ptrdiff_t>(x))[c]);
  });
  return values;
}

}  // namespace qarepvgg::test
