// Memory for tests between two pages that must not be touched: a tensor ends exactly at the second page, or begins
// exactly after the first. Memory is NaN at first, so reads of memory that an op was not given show in its result.
#pragma once

#include <cstddef>
#include <vector>

#include "ops/byte_map.h"
#include "reference/tensor.h"
#include "test/random.h"

namespace qarepvgg::test {

class GuardedMemory {
 public:
  explicit GuardedMemory(Rng& rng) : rng_(rng) {}
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  // Exactly `count` floats, like a user's array, packed weights and workspaces.
  float* floats(std::size_t count);
  float* floats(const reference::Values& values);
  double* doubles(std::size_t count) { return reinterpret_cast<double*>(floats(2 * count)); }
  // A map with zeros in halo and padding lanes, which ops may rely on, and NaN or `values` inside. 64 spare bytes
  // follow, as in an AlignedBuffer.
  FeatureMap map(const MapShape& shape);
  FeatureMap map(const reference::Tensor& values, std::size_t halo);

  // The same for integers and what kernels make from them: bytes without alignment, or aligned to 32 bits.
  std::byte* bytes(std::size_t count);
  // A map of integers whose halo and padding lanes hold the zero point, with random bytes or `values` inside.
  ByteMap byte_map(const MapShape& shape, std::size_t element, std::uint8_t zero_point);
  ByteMap byte_map(const reference::Tensor& values, std::size_t halo, std::size_t element, std::uint8_t zero_point);

  struct Slot;

 private:
  std::byte* take(std::size_t bytes);

  Rng& rng_;
  std::vector<Slot*> taken_;
};

reference::Values read(const float* data, std::size_t count);
reference::Tensor read(const FeatureMap& map);
// Also reads maps of floats.
reference::Tensor read(const ByteMap& map);
// Whether halo and padding lanes hold the zero point.
bool border_holds(const ByteMap& map, std::uint8_t zero_point);

}  // namespace qarepvgg::test
