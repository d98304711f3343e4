#include "base/crowding.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>

#ifdef __linux__
#include <fcntl.h>
#include <unistd.h>
#endif

namespace qarepvgg {

#ifdef __linux__
namespace {

using Clock = std::chrono::steady_clock;

// Checking the scheduler's counts costs about a microsecond, so it is done only this often.
constexpr std::chrono::nanoseconds kEvery = std::chrono::milliseconds(1);
// The process is crowded if a thread waited for a processor for at least 1 / kPart of its time. Of each wait, the first
// kWaking nanoseconds do not count: a thread needs them to start on a processor that is free.
constexpr std::int64_t kPart = 4, kWaking = 100000;
constexpr std::chrono::nanoseconds kLately = std::chrono::milliseconds(10);

std::atomic<std::int64_t> crowded_until{0};  // on the steady clock

// What the scheduler counts for one thread: nanoseconds on a processor, nanoseconds waiting for one, and how often it
// started to run.
class Schedule {
 public:
  Schedule() : file_(open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) {}
  ~Schedule() {
    if (file_ >= 0) close(file_);
  }
  Schedule(const Schedule&) = delete;
  Schedule& operator=(const Schedule&) = delete;

  void look(std::int64_t now) {
    if (file_ < 0 || now - looked_ < kEvery.count()) return;
    char text[64] = {};
    if (pread(file_, text, sizeof text - 1, 0) <= 0) return;
    char* end = text;
    std::strtoll(text, &end, 10);
    const std::int64_t waited = std::strtoll(end, &end, 10) - kWaking * std::strtoll(end, nullptr, 10);
    if (looked_ > 0 && (waited - waited_) * kPart > now - looked_) crowded_until = now + kLately.count();
    looked_ = now;
    waited_ = waited;
  }

 private:
  int file_;
  std::int64_t looked_ = 0, waited_ = 0;  // waited_: without what waking may take
};

}  // namespace

bool is_crowded() {
  thread_local Schedule schedule;
  const std::int64_t now = Clock::now().time_since_epoch().count();
  schedule.look(now);
  return now < crowded_until.load(std::memory_order_relaxed);
}

#else

bool is_crowded() { return false; }

#endif

}  // namespace qarepvgg
