// Random tensors, and comparisons with expected ones.
#pragma once

#include <cstddef>
#include <limits>
#include <ostream>
#include <string>

#include "ops/feature_map.h"
#include "reference/tensor.h"
#include "test/harness.h"
#include "test/random.h"

namespace qarepvgg {
std::ostream& operator<<(std::ostream& out, const MapShape& shape);
}
namespace qarepvgg::reference {
std::ostream& operator<<(std::ostream& out, const Dims& dims);
}

namespace qarepvgg::test {

inline constexpr double kEpsilon = 0x1p-23;  // of float

// With small whole numbers every partial sum is exact, so results must equal the reference's to the last bit.
enum class Data {
  kIntegers,  // up to +-8
  kSpecials,  // integers, and among them one to three of NaN, infinities and -0
  kReals,     // floats in [-1, 1)
};

reference::Values random_values(Rng& rng, std::size_t count, Data data);
reference::Tensor random_tensor(Rng& rng, const reference::Dims& dims, Data data);

// 1..max; half of the draws are at most 8, so that products of several draws stay small.
std::size_t random_extent(Rng& rng, std::size_t max);
// Dims of at most 12,000 elements, with images of up to `side` pixels on a side.
reference::Dims small_dims(Rng& rng, std::size_t side = 29);
// 1..130, mostly 1..33, which is up to two vectors of any instruction set plus one.
std::size_t random_channels(Rng& rng);

double largest(const reference::Values& values);  // magnitude
// sqrt(sum (a - b)^2 / sum b^2); 0 when both are zero.
double relative_l2(const reference::Values& received, const reference::Values& expected);

// A tolerance for exact results where zero may have either sign.
inline constexpr double kEitherZero = std::numeric_limits<double>::min();

// XNNPACK's bound for a float sum of `terms` products of at most `largest_term`; zero if sums are exact.
double sum_tolerance(Data data, double largest_term, std::size_t terms);

// First index at which the two differ by more than the tolerance; `count` if there is none. With tolerance zero, the
// sign of zero counts, too. NaN equals NaN.
std::size_t first_difference(const reference::Values& received, const reference::Values& expected, double tolerance);

#define CHECK_VALUES(received, expected, tolerance, ...)                                                    \
  do {                                                                                                      \
    const ::qarepvgg::reference::Values& r_ = received;                                                     \
    const ::qarepvgg::reference::Values& e_ = expected;                                                     \
    CHECK_EQUAL(r_.size(), e_.size(), __VA_ARGS__);                                                         \
    const std::size_t at_ = ::qarepvgg::test::first_difference(r_, e_, tolerance);                          \
    if (at_ != e_.size())                                                                                   \
      ::qarepvgg::test::fail_check(                                                                         \
          __FILE__, __LINE__,                                                                               \
          ::qarepvgg::test::text_of("expected " #received "[", at_, "] to be ", e_[at_], " +- ", tolerance, \
                                    ", received ", r_[at_], ", at ", __VA_ARGS__));                         \
  } while (false)

// Whether the halo and the padding lanes are all zero.
bool zero_border(const FeatureMap& map);

}  // namespace qarepvgg::test
