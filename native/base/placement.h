// On which processors the threads of a team run, and whether they are running.
//
// Two decisions of the system hurt a team. It may wake a member on the processor of the calling thread, because the
// member's own is still busy just after a call from JavaScript: the two then share one processor for milliseconds while
// another one idles. And it interrupts a thread for another program even if that thread holds a piece of work that all
// others wait for.
#pragma once

#include <cstdint>

#ifdef __linux__
#include <sched.h>
#endif

namespace qarepvgg {

// Identifies a thread of this process. On systems that do not say, all threads have number 0.
struct ThreadId {
  int number = 0;
  int clock = 0;
};

ThreadId this_thread();
// Nanoseconds that a thread has been running: constant exactly while it is not running.
std::int64_t running_time(const ThreadId& thread);

// The processor on which the calling thread runs; -1 if the system does not say.
int current_processor();

// Gives the calling thread long time slices: it keeps its processor for longer, but a thread that wakes, such as
// JavaScript's, interrupts it at once. Does nothing on systems without such slices.
void compute_for_long();

// A set of processors that a thread may use.
class Processors {
 public:
  // Empty if the system does not say.
  static Processors of(const ThreadId& thread);
  static Processors only(int processor);
  // The set without `processor`, unless that is the last one.
  Processors except(int processor) const;
  // Limits a thread to this set; it moves there at once. Returns whether the system allows it.
  bool assign(const ThreadId& thread) const;

 private:
#ifdef __linux__
  cpu_set_t set_{};
#endif
};

}  // namespace qarepvgg
