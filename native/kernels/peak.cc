#include "kernels/peak.h"

#include <chrono>
#include <numeric>
#include <vector>

#include "base/parallel.h"

namespace qarepvgg {

double measure_peak(double (*loop)(std::size_t iterations), int threads) {
  constexpr std::size_t kIterations = 4000000;
  std::vector<double> work(static_cast<std::size_t>(threads));
  const auto start = std::chrono::steady_clock::now();
  parallel_for(threads, work.size(), [&](std::size_t i) { work[i] = loop(kIterations); });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return std::accumulate(work.begin(), work.end(), 0.0) / seconds;
}

}  // namespace qarepvgg
