// The threads that share work: one team for the process, whose members stay alive. A run never waits for a member:
// members claim pieces, and the caller alone can claim them all. A member that comes late joins the current step.
//
// How pieces are claimed. Each member has a seat with a range of pieces, from whose front it takes. A member whose
// range is empty takes from the back of another one. A range is one word, so a claim is one compare-and-exchange. A
// member that succeeds holds a piece of the current step, which cannot end before that piece is done. The member that
// finishes the last piece of a step opens the next step.
//
// If a member loses its processor to another program while it holds a piece, the others would wait for milliseconds
// until it runs again. A waiting member that notices this lends its own processor to the holder and sleeps. The holder
// returns the processor when the piece is done.
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

  // Does all work with at most `members` members, including the caller. If the team has another caller already, this
  // one works alone; so does a piece that itself has work to share.
  void run(std::size_t members, const Work& work);

  // For tests that force schedules: called before each attempt to claim a piece, and again with the piece. It may take
  // long; meanwhile no team becomes smaller. Null by default.
  using Disturbance = void (*)(std::size_t member, bool holds);
  void disturb(Disturbance disturbance) { disturbance_.store(disturbance); }

  // For tests: the number of members that borrow a processor.
  std::size_t borrowers() const;

  // The number of members in the last run that asked for more than one.
  std::size_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  // Pieces [begin, end), which only members below `members` may claim, because only they have memory in this run.
  struct Range {
    std::size_t begin, end, members;

    static Range of(std::uint64_t word);
    std::uint64_t word() const;
    bool empty() const { return begin == end; }
  };

  struct alignas(64) Seat {
    std::atomic<std::uint64_t> range{0};
    std::atomic<bool> holds{false};    // whether it holds a piece, or a step that it is about to open
    std::atomic<bool> borrows{false};  // whether it borrows a processor
    Sleeper sleeper;
    std::atomic<std::int64_t> called{0};  // time of the last call, on the steady clock
    std::atomic<ThreadId> thread{ThreadId{}};
    std::mutex placing;  // guards `own`
    Processors own;      // the processors that this thread may use while it borrows none
    // ---- used by the member only
    // The step in which this member last took a piece, as step_number_ counts, with its number of pieces and its size.
    std::size_t step = 0, pieces = 0;
    double size = 0;
  };

  // Estimates from the caller's pieces how long the caller would take alone.
  struct Meter {
    std::size_t step = 0, pieces = 0, done = 0;
    double size = 0;
    // Nanoseconds for its pieces of the step, for all its pieces, and for waiting without sleep; and the estimate for
    // all pieces of the work.
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
  // Claims a piece and runs it; false if there is none.
  bool work_once(std::size_t member);
  bool claim(std::size_t member, std::size_t& piece);
  void open(std::size_t step);
  // Whether a step is worth waking members for.
  bool pays_waking(std::size_t step);
  void share(std::size_t pieces, bool wakes);
  // Waits until there may be something to do. Returns the nanoseconds that it did not sleep.
  std::int64_t wait(std::size_t member);
  bool spin(std::size_t member);
  bool has_call(std::size_t member) const;
  static void wake(Seat& seat);
  void note_wake(std::int64_t nanoseconds);

  std::atomic<bool> busy_{false};  // whether it has a caller
  std::atomic<Disturbance> disturbance_{nullptr};

  // State of the run, written by the member that opens a step and read by those that hold a piece of it.
  const Work* work_ = nullptr;
  std::size_t members_ = 0, step_ = 0, step_number_ = 0, pieces_ = 0;
  alignas(64) std::atomic<std::size_t> pending_{0};  // pieces of the step that are not finished
  std::atomic<bool> running_{false};
  int processor_ = -1;  // the caller's, which members do not use

  TeamSize best_;  // for the caller
  std::atomic<std::size_t> size_{1};
  // Running averages, in nanoseconds: from calling a sleeping member to its first look at the work, and for a unit of
  // work.
  std::atomic<std::int64_t> wake_time_{20000};
  std::atomic<double> unit_time_{0};

  std::array<std::unique_ptr<Seat>, kMaxThreads> seats_;
  std::atomic<std::size_t> seat_count_{0};
  // Seats that have a thread or will have one soon, and seats of the current parallel region. The region ends when the
  // two differ.
  std::atomic<std::size_t> wanted_{1}, served_{1};
};

}  // namespace qarepvgg
