// The threads that share work: one team for the process, whose members are there all the time. A run never waits for a
// member: pieces are claimed, and the caller alone can claim them all. A member that comes late, or was never given the
// processor, joins whatever step is current.
//
// How pieces are claimed. Each member has a seat with a range of pieces, which it takes from the front; a member whose
// own range is empty takes from the back of another's. A range is one word, so a claim is one exchange, and whoever
// succeeds holds a piece of the current step: that step cannot end before the piece is done. The member that does the
// last piece of a step opens the next one.
//
// A member that loses its processor to another program while it holds a piece would hold up the others until it gets it
// back, some milliseconds later. Whoever waits notices that the holder does not run, lends it its own processor and
// sleeps; the holder gives it back as soon as the piece is done.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "base/parallel.h"
#include "base/placement.h"
#include "base/sleeper.h"
#include "base/team_size.h"
#include "base/threads.h"

namespace qarepvgg {

class Team {
 public:
  static Team& instance();

  // Does all work with at most `members` members, the caller included: alone where the team has another caller already,
  // which is also how a piece that has work to share gets it done.
  void run(std::size_t members, const Work& work);

  // For tests, which force schedules: called in front of each attempt to claim a piece, and again with the piece. It
  // may take its time; teams have all their members meanwhile. Null, to begin with: nothing.
  using Disturbance = void (*)(std::size_t member, bool holds);
  void disturb(Disturbance disturbance) { disturbance_.store(disturbance); }

  // Of the last run that asked for more than one.
  std::size_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  // Pieces [begin, end) that only members below `members` may claim: they alone have memory in this run.
  struct Range {
    std::size_t begin, end, members;

    static Range of(std::uint64_t word);
    std::uint64_t word() const;
    bool empty() const { return begin == end; }
  };

  struct alignas(64) Seat {
    std::atomic<std::uint64_t> range{0};
    std::atomic<bool> holds{false};    // a piece, or the next step before it is open
    std::atomic<bool> borrows{false};  // a processor
    Sleeper sleeper;
    std::atomic<std::int64_t> called{0};  // when, on the steady clock
    std::atomic<ThreadId> thread{ThreadId{}};
    std::mutex placing;  // guards what follows
    Processors own;      // those that this thread may use while it borrows none
    // ---- of the member alone
    // The step in which this member last took a piece, as step_number_ counts, its pieces and its size.
    std::size_t step = 0, pieces = 0;
    double size = 0;
  };

  // What the caller's pieces tell of the time that it would take alone.
  struct Meter {
    std::size_t step = 0, pieces = 0, done = 0;
    double size = 0;
    // Nanoseconds: of its pieces of the step, of all its pieces, of waiting without sleep; and what all pieces would
    // have taken it.
    std::int64_t step_busy = 0, busy = 0, spun = 0, alone = 0;
  };
  void add(Meter& meter, const Seat& seat, std::int64_t nanoseconds);
  void settle(Meter& meter);

  static void run_alone(const Work& work);
  static void serve(std::size_t index);
  void grow(std::size_t members);
  void place();
  bool lend(std::size_t member);
  void give_back(std::size_t member);
  void host();
  // Claims a piece and runs it; false when there is none.
  bool work_once(std::size_t member);
  bool claim(std::size_t member, std::size_t& piece);
  void open(std::size_t step);
  // Whether a step is worth waking members for.
  bool pays_waking(std::size_t step);
  void share(std::size_t pieces, bool wakes);
  // Until there may be something to do.
  // Returns for how long it did not sleep, in nanoseconds.
  std::int64_t wait(std::size_t member);
  bool spin(std::size_t member);
  bool has_call(std::size_t member) const;
  static void wake(Seat& seat);
  void note_wake(std::int64_t nanoseconds);

  std::atomic<bool> busy_{false};  // has a caller
  std::atomic<Disturbance> disturbance_{nullptr};

  // Of the run: written by whoever opens a step, read by who holds a piece of it.
  const Work* work_ = nullptr;
  std::size_t members_ = 0, step_ = 0, step_number_ = 0, pieces_ = 0;
  alignas(64) std::atomic<std::size_t> pending_{0};  // pieces of the step that are not done
  std::atomic<bool> running_{false};
  int processor_ = -1;  // the caller's, which members stay off

  TeamSize best_;  // for the caller
  std::atomic<std::size_t> size_{1};
  // Nanoseconds from the call to a member to its first look at the work, and those that a unit of work takes: running
  // averages.
  std::atomic<std::int64_t> wake_time_{20000};
  std::atomic<double> unit_time_{0};

  std::array<std::unique_ptr<Seat>, kMaxThreads> seats_;
  std::atomic<std::size_t> seat_count_{0};
  // Seats that have a thread, or will soon; and those of the present parallel region, which ends where these differ.
  std::atomic<std::size_t> wanted_{1}, served_{1};
};

}  // namespace qarepvgg
