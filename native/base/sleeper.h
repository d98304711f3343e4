// Where one thread sleeps until another wakes it.
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
  // From here on a wake() is not missed. Whoever wakes stores first what there is to do and wakes then; who sleeps
  // looks for it between this and sleep().
  void prepare() { asleep_.store(1); }
  // Until wake(), for so long at most, or shorter for no reason.
  void sleep(std::chrono::nanoseconds longest);
  void stay() { asleep_.store(0); }
  bool asleep() const { return asleep_.load() != 0; }
  // Returns whether it slept, or was about to.
  bool wake();

 private:
  std::atomic<std::uint32_t> asleep_{0};
#ifndef __linux__
  std::mutex mutex_;
  std::condition_variable wake_;
#endif
};

}  // namespace qarepvgg
