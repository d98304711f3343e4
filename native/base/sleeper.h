// Lets one thread sleep until another one wakes it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#ifndef __linux__
#include <mutex>

#include "base/condition_variable.h"
#endif

namespace qarepvgg {

class Sleeper {
 public:
  // After this, no wake() is missed. The waking thread first stores the work, then calls wake(). The sleeping thread
  // looks for work between prepare() and sleep().
  void prepare() { asleep_.store(1); }
  // Sleeps until wake(), or for at most `longest`, or for a shorter time for no reason.
  void sleep(std::chrono::nanoseconds longest);
  void stay() { asleep_.store(0); }
  bool asleep() const { return asleep_.load() != 0; }
  // Returns whether the thread was asleep or about to sleep.
  bool wake();

 private:
  std::atomic<std::uint32_t> asleep_{0};
#ifndef __linux__
  std::mutex mutex_;
  std::condition_variable wake_;
#endif
};

}  // namespace qarepvgg
