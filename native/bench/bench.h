// Timing, and the layers in the tables of the benchmark.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/kernel_table.h"

namespace qarepvgg {

struct Layer {
  const char* name;
  std::size_t in_c, out_c, in_size, stride;
};

// One of each kind of layer in QARepVGG-A0 at 224 x 224, deploy form.
inline constexpr Layer kLayers[] = {
    {"stem    3 -> 48   @224 /2", 3, 48, 224, 2}, {"stage1 48 -> 48   @112 /2", 48, 48, 112, 2},
    {"stage1 48 -> 48   @56", 48, 48, 56, 1},     {"stage2 48 -> 96   @56  /2", 48, 96, 56, 2},
    {"stage2 96 -> 96   @28", 96, 96, 28, 1},     {"stage3 96 -> 192  @28  /2", 96, 192, 28, 2},
    {"stage3 192 -> 192 @14", 192, 192, 14, 1},   {"stage4 192 -> 1280 @14 /2", 192, 1280, 14, 2},
};

// Weights rotate through so many sets in one arena, like those of the layers of a network.
inline constexpr std::size_t kWeightSets = 8;

struct Options {
  bool quick = false;
  std::string isa, table;  // empty for all
  int threads = 0;
  double seconds = 0.4;  // per measurement
};

double seconds_of(const std::function<void()>& body);
double median(std::vector<double> values);

// Median speed of a body with `operations` operations, and of the peak, measured alternately.
struct Result {
  double speed, peak;
};
Result measure(double operations, const std::function<void()>& body, double (*peak)(std::size_t), int threads,
               const Options& options);

// A small deterministic generator.
class Noise {
 public:
  // From -1 to 1.
  float next() { return static_cast<float>(bits()) * 0x1p-31f; }
  std::vector<float> fill(std::size_t count) {
    std::vector<float> values(count);
    for (float& value : values) value = next();
    return values;
  }
  // Uniformly distributed over 256 numbers.
  template <class T>
  std::vector<T> fill_bytes(std::size_t count) {
    std::vector<T> values(count);
    for (T& value : values) value = static_cast<T>(bits() >> 24);
    return values;
  }

 private:
  std::int32_t bits() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::int32_t>(state_ >> 32);
  }
  std::uint64_t state_ = 42;
};

// Each function prints a table for one instruction set and returns whether all results were right.
bool run_float_table(const KernelTable& kernels, int threads, const Options& options);
bool run_integer_table(const KernelTable& kernels, int threads, const Options& options);
bool run_light_table(const KernelTable& kernels, int threads, const Options& options);
bool run_light_integer_table(const KernelTable& kernels, int threads, const Options& options);

}  // namespace qarepvgg
