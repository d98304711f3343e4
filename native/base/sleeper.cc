#include "base/sleeper.h"

#ifdef __linux__
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace qarepvgg {

#ifdef __linux__

// A futex, so that the thread that wakes another one never has to wait for it.
void Sleeper::sleep(std::chrono::nanoseconds longest) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(longest);
  struct timespec timeout{};
  timeout.tv_sec = static_cast<std::time_t>(seconds.count());
  timeout.tv_nsec = static_cast<long>((longest - seconds).count());
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&asleep_), FUTEX_WAIT_PRIVATE, 1, &timeout, nullptr, 0);
  asleep_.store(0);
}

bool Sleeper::wake() {
  if (asleep_.load() == 0 || asleep_.exchange(0) == 0) return false;
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&asleep_), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  return true;
}

#else

void Sleeper::sleep(std::chrono::nanoseconds longest) {
  std::unique_lock<std::mutex> lock(mutex_);
  wake_.wait_for(lock, longest, [this] { return asleep_.load() == 0; });
  asleep_.store(0);
}

bool Sleeper::wake() {
  if (asleep_.load() == 0) return false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (asleep_.exchange(0) == 0) return false;
  }
  wake_.notify_one();
  return true;
}

#endif

}  // namespace qarepvgg
