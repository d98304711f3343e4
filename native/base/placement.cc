#include "base/placement.h"

#include <cstddef>

#ifdef __linux__
#include <ctime>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace qarepvgg {

#ifdef __linux__

// Nanoseconds. Since Linux 6.12, a thread that wakes immediately interrupts one with a longer time slice than its own.
constexpr std::uint64_t kSlice = 4000000;

ThreadId this_thread() {
  thread_local const ThreadId id = [] {
    clockid_t clock = CLOCK_MONOTONIC;
    pthread_getcpuclockid(pthread_self(), &clock);
    return ThreadId{static_cast<int>(syscall(SYS_gettid)), clock};
  }();
  return id;
}

std::int64_t running_time(const ThreadId& thread) {
  struct timespec time{};
  clock_gettime(thread.clock, &time);
  return static_cast<std::int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
}

int current_processor() { return sched_getcpu(); }

void compute_for_long() {
  // sched_attr of linux/sched/types.h. Copied, because some C libraries declare it, too.
  struct {
    std::uint32_t size, policy;
    std::uint64_t flags;
    std::int32_t nice;
    std::uint32_t priority;
    std::uint64_t runtime, deadline, period;
  } attributes{};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0 || attributes.policy != SCHED_OTHER) return;
  attributes.runtime = kSlice;
  syscall(SYS_sched_setattr, 0, &attributes, 0);
}

Processors Processors::of(const ThreadId& thread) {
  Processors result;
  if (sched_getaffinity(thread.number, sizeof result.set_, &result.set_) != 0) CPU_ZERO(&result.set_);
  return result;
}

Processors Processors::only(int processor) {
  Processors result;
  if (processor >= 0 && processor < CPU_SETSIZE) CPU_SET(static_cast<std::size_t>(processor), &result.set_);
  return result;
}

Processors Processors::except(int processor) const {
  Processors rest = *this;
  if (processor >= 0 && processor < CPU_SETSIZE) CPU_CLR(static_cast<std::size_t>(processor), &rest.set_);
  return CPU_COUNT(&rest.set_) > 0 ? rest : *this;
}

bool Processors::assign(const ThreadId& thread) const {
  return thread.number != 0 && CPU_COUNT(&set_) > 0 && sched_setaffinity(thread.number, sizeof set_, &set_) == 0;
}

#else

ThreadId this_thread() { return {}; }

std::int64_t running_time(const ThreadId&) { return 0; }

int current_processor() { return -1; }

void compute_for_long() {}

Processors Processors::of(const ThreadId&) { return {}; }

Processors Processors::only(int) { return {}; }

Processors Processors::except(int) const { return *this; }

bool Processors::assign(const ThreadId&) const { return false; }

#endif

}  // namespace qarepvgg
