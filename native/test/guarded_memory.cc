#include "test/guarded_memory.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <sys/mman.h>
#include <unistd.h>

namespace qarepvgg::test {
namespace {

constexpr std::byte kRubbish{0xa5};
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr std::size_t kSlotBytes = 1 << 20;

std::size_t page_bytes() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace

// Usable pages between two pages that fault. Slots are reused, because mapping memory for every tensor is slow.
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

std::byte* GuardedMemory::take(std::size_t bytes) {
  Slot* slot = free_slot(bytes);
  slot->free = false;
  taken_.push_back(slot);
  return reinterpret_cast<std::byte*>(rng_.chance(0.5) ? slot->begin : slot->begin + slot->bytes - bytes);
}

std::byte* GuardedMemory::bytes(std::size_t count) {
  std::byte* data = take(count);
  std::fill_n(data, count, kRubbish);
  return data;
}

float* GuardedMemory::floats(std::size_t count) {
  auto* data = reinterpret_cast<float*>(take(count * sizeof(float)));
  std::fill_n(data, count, kNaN);
  return data;
}

float* GuardedMemory::floats(const reference::Values& values) {
  float* data = floats(values.size());
  std::transform(values.begin(), values.end(), data, [](double value) { return static_cast<float>(value); });
  return data;
}

FeatureMap GuardedMemory::map(const MapShape& shape) {
  const FeatureMap map{floats(shape.floats() + kAlignedFloats), shape};
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

ByteMap GuardedMemory::byte_map(const MapShape& shape, std::size_t element, std::uint8_t zero_point) {
  const ByteMap map(bytes(shape.floats() * element + kAlignment), shape, element);
  fill_elements(map.data, shape.floats(), element, zero_point);
  reference::for_each_element({shape.n, 1, shape.h, shape.w}, [&](auto n, auto, auto y, auto x) {
    std::fill_n(map.at(n, static_cast<std::ptrdiff_t>(y), static_cast<std::ptrdiff_t>(x)), shape.c * element, kRubbish);
  });
  return map;
}

ByteMap GuardedMemory::byte_map(const reference::Tensor& values, std::size_t halo, std::size_t element,
                                std::uint8_t zero_point) {
  const reference::Dims& dims = values.dims;
  const ByteMap filled = byte_map({dims.n, dims.c, dims.h, dims.w, halo}, element, zero_point);
  reference::for_each_element(dims, [&](auto n, auto c, auto y, auto x) {
    fill_elements(filled.at(n, static_cast<std::ptrdiff_t>(y), static_cast<std::ptrdiff_t>(x)) + c * element, 1,
                  element, static_cast<std::uint8_t>(values.at(n, c, y, x)));
  });
  return filled;
}

namespace {

template <class T>
double element_at(const std::byte* data) {
  T value;
  std::memcpy(&value, data, sizeof value);
  return static_cast<double>(value);
}

}  // namespace

reference::Tensor read(const ByteMap& map) {
  if (map.element == sizeof(float)) return read(map.floats());
  const MapShape& s = map.shape;
  reference::Tensor values(reference::Dims{s.n, s.c, s.h, s.w});
  reference::for_each_element(values.dims, [&](auto n, auto c, auto y, auto x) {
    const std::byte* at = map.at(n, static_cast<std::ptrdiff_t>(y), static_cast<std::ptrdiff_t>(x)) + c * map.element;
    values.at(n, c, y, x) = map.element == 1 ? element_at<std::uint8_t>(at) : element_at<std::uint16_t>(at);
  });
  return values;
}

bool border_holds(const ByteMap& map, std::uint8_t zero_point) {
  ByteMap copy = map;
  std::vector<std::byte> memory(map.data, map.data + map.shape.floats() * map.element);
  copy.data = memory.data();
  const auto interior = [&](const auto& visit) {
    reference::for_each_element({map.shape.n, 1, map.shape.h, map.shape.w}, [&](auto n, auto, auto y, auto x) {
      visit(copy.at(n, static_cast<std::ptrdiff_t>(y), static_cast<std::ptrdiff_t>(x)));
    });
  };
  interior([&](std::byte* pixel) { fill_elements(pixel, map.shape.c, map.element, zero_point); });
  std::vector<std::byte> filled(memory.size());
  fill_elements(filled.data(), map.shape.floats(), map.element, zero_point);
  return memory == filled;
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
