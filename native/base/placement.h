// Where threads of a team run, and whether they do.
//
// The system wakes a thread where it finds room at that moment: just after a call from JavaScript, that is often the
// processor of the very thread that calls, whose own processor is still busy. The two then share one processor for
// milliseconds while another idles. And the system interrupts a thread where another program wants its turn, though
// that thread may hold a piece of work that all others wait for.
#pragma once

#include <cstdint>

#ifdef __linux__
#include <sched.h>
#endif

namespace qarepvgg {

// A thread of this process, as the others see it. Where the system tells nothing, all threads look alike: number 0.
struct ThreadId {
  int number = 0;
  int clock = 0;
};

ThreadId this_thread();
// Nanoseconds that a thread has run: stands still exactly while it does not.
std::int64_t running_time(const ThreadId& thread);

// The processor on which the calling thread runs; -1 where the system does not tell.
int current_processor();

// Makes the calling thread one that computes for long: it keeps its processor for longer once it has it, and gives it
// up at once to a thread that wakes, such as JavaScript's. Where the system does not know the difference, nothing
// happens.
void compute_for_long();

// Processors that a thread may use.
class Processors {
 public:
  // None where the system does not tell.
  static Processors of(const ThreadId& thread);
  static Processors only(int processor);
  // Without it, unless it is the last.
  Processors except(int processor) const;
  // A thread that waits for its turn, or runs elsewhere, moves there at once. Returns whether the system allows it.
  bool assign(const ThreadId& thread) const;

 private:
#ifdef __linux__
  cpu_set_t set_{};
#endif
};

}  // namespace qarepvgg
