#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/parallel.h"
#include "bench/light_layers.h"
#include "kernels/peak.h"

namespace qarepvgg {

double seconds_of(const std::function<void()>& body) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  body();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

Result measure(double operations, const std::function<void()>& body, double (*peak)(std::size_t), int threads,
               const Options& options) {
  const double once = seconds_of(body);
  const int rounds = options.quick ? 3 : 15;
  const int repeats = std::max(1, static_cast<int>(options.seconds / rounds / std::max(once, 1e-6)));
  std::vector<double> speeds, peaks;
  for (int round = 0; round < rounds; ++round) {
    peaks.push_back(measure_peak(peak, threads));
    const double seconds = seconds_of([&] {
      for (int i = 0; i < repeats; ++i) body();
    });
    speeds.push_back(operations * repeats / seconds);
  }
  return {median(speeds), median(peaks)};
}

double copy_speed(double bytes, int threads, const Options& options) {
  const std::size_t count = static_cast<std::size_t>(bytes / 2);
  std::vector<char> from(count, 1), to(count, 1);
  const auto body = [&] {
    parallel_ranges(threads, count, static_cast<std::size_t>(threads),
                    [&](std::size_t begin, std::size_t end) { std::memcpy(&to[begin], &from[begin], end - begin); });
  };
  body();
  std::vector<double> speeds;
  for (int round = 0; round < (options.quick ? 3 : 15); ++round) {
    constexpr int kCopies = 20;
    const double seconds = seconds_of([&] {
      for (int i = 0; i < kCopies; ++i) body();
    });
    speeds.push_back(2.0 * static_cast<double>(count) * kCopies / seconds);
  }
  return median(speeds);
}

}  // namespace qarepvgg
