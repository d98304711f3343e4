// Waiting without sleep.
#pragma once

#include <chrono>

namespace qarepvgg {

// Tells the processor that this thread waits for another one.
inline void pause() {
#if defined(__x86_64__) && defined(__GNUC__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
  __asm__ volatile("yield");
#endif
}

// Looks at the condition for about a microsecond. Returns whether it became true.
template <class Condition>
bool glance(const Condition& condition) {
  for (int i = 0; i < 32; ++i) {
    if (condition()) return true;
    pause();
  }
  return false;
}

// Waits until the condition is true or the time has come.
template <class Condition>
void spin_until(std::chrono::steady_clock::time_point end, const Condition& condition) {
  while (!glance(condition) && std::chrono::steady_clock::now() < end) {
  }
}

}  // namespace qarepvgg
