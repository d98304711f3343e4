#include "base/threads.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <thread>

#ifdef __linux__
#include <sched.h>
#endif

#include "base/cgroup.h"
#include "base/error.h"

namespace qarepvgg {
namespace {

int affinity_count() {
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// CPUs that quotas of control groups grant, rounded up; 0 if there are none.
int cgroup_quota() {
  const double cpus = cgroup_cpus();
  return cpus > 0 ? std::max(1, static_cast<int>(std::ceil(std::min(cpus, 1e6)))) : 0;
}

ThreadBudget read_budget() {
  if (const char* text = std::getenv("QAREPVGG_NUM_THREADS"); text != nullptr && *text != '\0') {
    int count = 0;
    const char* end = text + std::strlen(text);
    const auto [stop, error] = std::from_chars(text, end, count);
    if (error != std::errc{} || stop != end || count < 1 || count > kMaxThreads)
      fail(code::kInvalidArg, "expected QAREPVGG_NUM_THREADS to be a whole number from 1 to ", kMaxThreads,
           ", received '", text, "'");
    return {count, "QAREPVGG_NUM_THREADS"};
  }
  const int affinity = std::min(affinity_count(), kMaxThreads), quota = cgroup_quota();
  if (quota > 0 && quota < affinity) return {quota, "cgroup quota"};
  return {affinity, "affinity"};
}

}  // namespace

const ThreadBudget& thread_budget() {
  static const ThreadBudget budget = read_budget();
  return budget;
}

}  // namespace qarepvgg
