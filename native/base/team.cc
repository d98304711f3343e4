#include "base/team.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <system_error>
#include <thread>
#include <vector>

#include "base/crowding.h"
#include "base/error.h"
#include "base/spin.h"

namespace qarepvgg {
namespace {

// Checks that the system allows so many threads, by starting them all at once: if it refuses a thread to OpenMP, OpenMP
// ends the process.
void admit_threads(std::size_t threads) {
  std::promise<void> enough;
  const std::shared_future<void> wait(enough.get_future());
  std::vector<std::thread> team;
  team.reserve(threads);
  const auto dismiss = [&] {
    enough.set_value();
    for (std::thread& thread : team) thread.join();
  };
  try {
    while (team.size() + 1 < threads) team.emplace_back([wait] { wait.wait(); });
  } catch (const std::system_error& error) {
    const std::size_t started = team.size() + 1;
    dismiss();
    fail(code::kOutOfMemory, "expected the system to run ", threads, " threads, received '", error.what(), "' after ",
         started);
  } catch (...) {
    dismiss();
    throw;
  }
  dismiss();
}

std::int64_t now() { return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// How long a member sleeps at most while others are at work, and while nobody is.
constexpr std::chrono::milliseconds kNap(1);
constexpr std::chrono::hours kNight(1);

// Nanoseconds. How long a member waits without sleep for the next step, and for the next run.
constexpr std::int64_t kStepSpin = 200000, kRunSpin = 50000;
// How long the holder of a piece does not run before a waiting member lends it a processor. The JavaScript thread often
// takes a processor for less than that.
constexpr std::int64_t kStall = 100000;
// How often a waiting member checks that.
constexpr std::int64_t kLook = 20000;

}  // namespace

// Never destroyed: its members may still be in it while the process exits.
Team& Team::instance() {
  static Team& team = *new Team;
  return team;
}

Team::Range Team::Range::of(std::uint64_t word) {
  constexpr std::uint64_t kMask = kMaxPieces;
  return {static_cast<std::size_t>(word & kMask), static_cast<std::size_t>(word >> 24 & kMask),
          static_cast<std::size_t>(word >> 48)};
}

std::uint64_t Team::Range::word() const {
  return static_cast<std::uint64_t>(begin) | static_cast<std::uint64_t>(end) << 24 |
         static_cast<std::uint64_t>(members) << 48;
}

void Team::run_alone(const Work& work) {
  for (std::size_t step = 0; step < work.steps(); ++step)
    for (std::size_t piece = 0; piece < work.pieces(step); ++piece) work.run(step, {piece, 0, piece == 0});
}

void Team::run(std::size_t members, const Work& work) {
  members = std::min<std::size_t>(members, kMaxThreads);
  if (members <= 1 || (work.steps() == 1 && work.pieces(0) <= 1) || busy_.exchange(true, std::memory_order_acquire))
    return run_alone(work);
  struct Release {
    std::atomic<bool>& busy;
    ~Release() { busy.store(false, std::memory_order_release); }
  } const release{busy_};
  const std::int64_t start = now();
  if (disturbance_.load(std::memory_order_relaxed) == nullptr) members = best_.most(members);
  size_.store(members, std::memory_order_relaxed);
  if (members == 1) {
    run_alone(work);
    const TeamSize::Time took(now() - start);
    return best_.record(1, took, took);
  }
  grow(members);
  work_ = &work;
  members_ = members;
  seats_[0]->thread.store(this_thread(), std::memory_order_relaxed);
  running_.store(true);
  open(0);
  Meter meter;
  const std::int64_t ran_before = running_time(this_thread());
  std::int64_t before = start;
  while (running_.load(std::memory_order_acquire)) {
    if (current_processor() != processor_) place();
    const bool did = work_once(0);
    if (!did) meter.spun += wait(0);
    const std::int64_t after = now();
    if (did) add(meter, *seats_[0], after - before);
    before = after;
  }
  settle(meter);
  if (meter.busy == 0 || disturbance_.load(std::memory_order_relaxed) != nullptr) return;
  // Alone, the caller would not have been interrupted as often.
  const std::int64_t ran = running_time(this_thread()) - ran_before - meter.spun;
  const double undisturbed = std::clamp(static_cast<double>(ran) / static_cast<double>(meter.busy), 0.0, 1.0);
  best_.record(members, TeamSize::Time(before - start),
               TeamSize::Time(static_cast<std::int64_t>(undisturbed * static_cast<double>(meter.alone))));
}

// ---- measuring ---------------------------------------------------------------------------------------------------

void Team::add(Meter& meter, const Seat& seat, std::int64_t nanoseconds) {
  if (meter.step != seat.step) settle(meter);
  meter.step = seat.step;
  meter.pieces = seat.pieces;
  meter.size = seat.size;
  meter.step_busy += nanoseconds;
  ++meter.done;
}

// Called at the end of a step. Assumes that the pieces of other members would have taken the caller as long as its own.
void Team::settle(Meter& meter) {
  if (meter.done == 0) return;
  const std::int64_t alone =
      meter.step_busy * static_cast<std::int64_t>(meter.pieces) / static_cast<std::int64_t>(meter.done);
  meter.alone += alone;
  if (meter.size > 0) {
    const double unit = static_cast<double>(alone) / meter.size, known = unit_time_.load(std::memory_order_relaxed);
    unit_time_.store(known > 0 ? known + (unit - known) / 32 : unit, std::memory_order_relaxed);
  }
  meter.busy += meter.step_busy;
  meter.step_busy = 0;
  meter.done = 0;
}

// A member that is awake costs nothing. One that sleeps comes too late for a small step, and waking it takes time.
bool Team::pays_waking(std::size_t step) {
  const double size = work_->size(step), unit = unit_time_.load(std::memory_order_relaxed);
  if (size == 0 || unit == 0) return true;
  const std::int64_t time = wake_time_.load(std::memory_order_relaxed);
  if (size * unit > 2 * static_cast<double>(time)) return true;
  // Decays, because it may have been measured at a bad moment.
  wake_time_.store(time - time / 64, std::memory_order_relaxed);
  return false;
}

void Team::note_wake(std::int64_t nanoseconds) {
  constexpr std::int64_t kLongest = 1000000;
  const std::int64_t known = wake_time_.load(std::memory_order_relaxed);
  wake_time_.store(known + (std::min(nanoseconds, kLongest) - known) / 8, std::memory_order_relaxed);
}

// ---- pieces ------------------------------------------------------------------------------------------------------

bool Team::claim(std::size_t member, std::size_t& piece) {
  const std::size_t seats = seat_count_.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < seats; ++i) {
    std::atomic<std::uint64_t>& word = seats_[(member + i) % seats]->range;
    std::uint64_t seen = word.load(std::memory_order_acquire);
    for (;;) {
      Range range = Range::of(seen);
      if (range.empty() || member >= range.members) break;
      piece = i == 0 ? range.begin++ : --range.end;
      if (word.compare_exchange_weak(seen, range.word(), std::memory_order_acq_rel, std::memory_order_acquire))
        return true;
    }
  }
  return false;
}

bool Team::work_once(std::size_t member) {
  Seat& seat = *seats_[member];
  std::size_t piece = 0;
  const Disturbance disturbance = disturbance_.load(std::memory_order_relaxed);
  if (disturbance != nullptr) disturbance(member, false);
  seat.holds.store(true, std::memory_order_relaxed);
  const bool did = claim(member, piece);
  if (did) {
    if (disturbance != nullptr) disturbance(member, true);
    const bool first = seat.step != step_number_;
    seat.step = step_number_;
    seat.pieces = pieces_;
    if (member == 0) seat.size = work_->size(step_);
    work_->run(step_, {piece, member, first});
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) open(step_ + 1);
  }
  seat.holds.store(false);
  if (seat.borrows.load()) give_back(member);
  return did;
}

// Called by one thread at a time, while no piece is open.
void Team::open(std::size_t step) {
  std::size_t pieces = 0;
  while (step < work_->steps() && (pieces = work_->pieces(step)) == 0) ++step;
  if (pieces == 0) {
    running_.store(false);
    wake(*seats_[0]);
    return;
  }
  step_ = step;
  pieces_ = pieces;
  ++step_number_;
  pending_.store(pieces, std::memory_order_relaxed);
  share(pieces, pieces > 1 && pays_waking(step));
}

// Gives members their ranges. Once the last range is stored, others may finish this step and open the next one, so
// nothing of this step may be read after that.
void Team::share(std::size_t pieces, bool wakes) {
  const std::size_t all = members_;
  std::array<Seat*, kMaxThreads> chosen;
  std::size_t count = 0;
  for (std::size_t i = 0; i < all && count < pieces; ++i)
    if (i == 0 || wakes || !seats_[i]->sleeper.asleep()) chosen[count++] = seats_[i].get();
  for (std::size_t i = count; i-- > 0;)
    chosen[i]->range.store(Range{pieces * i / count, pieces * (i + 1) / count, all}.word());
  for (std::size_t i = 0; i < count; ++i) wake(*chosen[i]);
}

// ---- threads -----------------------------------------------------------------------------------------------------

// Adds members. The run does not wait for them.
void Team::grow(std::size_t members) {
  const std::size_t seats = seat_count_.load(std::memory_order_relaxed);
  if (members <= seats) return;
  admit_threads(members);
  for (std::size_t i = seats; i < members; ++i) seats_[i] = std::make_unique<Seat>();
  seat_count_.store(members, std::memory_order_release);
  wanted_.store(members);
  for (std::size_t i = 1; i < seats; ++i) wake(*seats_[i]);
  if (seats > 0) return;
  const auto take_back = [this] {
    seat_count_.store(0);
    wanted_.store(1);
  };
  try {
    std::thread([this] { host(); }).detach();
  } catch (const std::system_error& error) {
    take_back();
    fail(code::kOutOfMemory, "expected the system to start a thread, received '", error.what(), "'");
  } catch (...) {
    take_back();
    throw;
  }
}

// Keeps members off the caller's processor.
void Team::place() {
  processor_ = current_processor();
  const Processors own = Processors::of(this_thread()).except(processor_);
  const std::size_t seats = seat_count_.load(std::memory_order_relaxed);
  for (std::size_t i = 1; i < seats; ++i) {
    Seat& seat = *seats_[i];
    const std::lock_guard<std::mutex> lock(seat.placing);
    seat.own = own;
    if (!seat.borrows.load(std::memory_order_relaxed)) own.assign(seat.thread.load(std::memory_order_relaxed));
  }
}

// Moves another member that holds a piece to this thread's processor, where it runs as soon as this thread sleeps.
bool Team::lend(std::size_t member) {
  Seat& seat = *seats_[member];
  const std::unique_lock<std::mutex> lock(seat.placing, std::try_to_lock);
  if (!lock || seat.borrows.load(std::memory_order_relaxed)) return false;
  // The holder first stores that it holds nothing, then looks whether it borrows, so at least one of the two sees the
  // other.
  seat.borrows.store(true);
  const ThreadId thread = seat.thread.load(std::memory_order_relaxed);
  if (seat.holds.load()) {
    if (member == 0) seat.own = Processors::of(thread);
    if (Processors::only(current_processor()).assign(thread)) return true;
  }
  seat.borrows.store(false);
  return false;
}

void Team::give_back(std::size_t member) {
  Seat& seat = *seats_[member];
  const std::lock_guard<std::mutex> lock(seat.placing);
  if (!seat.borrows.load(std::memory_order_relaxed)) return;
  seat.own.assign(this_thread());
  seat.borrows.store(false);
}

std::size_t Team::borrowers() const {
  const auto end = seats_.begin() + static_cast<std::ptrdiff_t>(seat_count_.load());
  return static_cast<std::size_t>(
      std::count_if(seats_.begin(), end, [](const auto& seat) { return seat->borrows.load(); }));
}

// Runs one parallel region for as long as the team keeps its size. Its threads are members 1 and up: member 0 is the
// caller.
void Team::host() {
  for (;;) {
    served_.store(wanted_.load());
    parallel_region<serve>(static_cast<int>(served_.load()) - 1);
  }
}

void Team::serve(std::size_t index) {
  Team& team = instance();
  const std::size_t member = index + 1;
  compute_for_long();
  team.seats_[member]->thread.store(this_thread(), std::memory_order_relaxed);
  while (team.wanted_.load() == team.served_.load())
    if (!team.work_once(member)) team.wait(member);
}

bool Team::has_call(std::size_t member) const {
  if (!Range::of(seats_[member]->range.load()).empty()) return true;
  return member == 0 ? !running_.load() : wanted_.load() != served_.load();
}

std::int64_t Team::wait(std::size_t member) {
  // Spins for about as long as a piece takes, because the missing piece is likely to be done by then; or, between runs,
  // for about the time to the next one.
  const std::int64_t start = now();
  const bool has = spin(member);
  const std::int64_t spun = now() - start;
  if (has) return spun;
  Seat& seat = *seats_[member];
  seat.sleeper.prepare();
  // A caller first stores its call, then looks for sleepers, so at least one of the two sees the other.
  if (has_call(member)) {
    seat.sleeper.stay();
    return spun;
  }
  seat.sleeper.sleep(running_.load(std::memory_order_relaxed) ? kNap : kNight);
  if (has_call(member)) note_wake(now() - seat.called.load(std::memory_order_relaxed));
  return spun;
}

// Waits without sleeping if the wait is likely to be short. Returns whether there is a call.
bool Team::spin(std::size_t member) {
  const bool crowded = is_crowded(), running = running_.load(std::memory_order_relaxed);
  const std::int64_t longest = running ? kStepSpin : crowded ? 0 : kRunSpin;
  const std::int64_t start = now();
  std::int64_t next_look = kLook, ran = 0, stalled = 0;  // `ran`: the holder's running time at the last look
  std::size_t holder = 0;
  bool known = false;
  for (;;) {
    if (glance([&] { return has_call(member); })) return true;
    const std::int64_t spent = now() - start;
    if (spent >= longest) return false;
    if (!running || spent < next_look) continue;
    next_look = spent + kLook;
    const std::size_t seats = seat_count_.load(std::memory_order_acquire);
    std::size_t other = known ? holder : 0;
    if (!known || other == member || !seats_[other]->holds.load(std::memory_order_relaxed))
      for (other = 0; other < seats; ++other)
        if (other != member && seats_[other]->holds.load(std::memory_order_relaxed)) break;
    if (other >= seats) {
      known = false;
      continue;
    }
    const std::int64_t time = running_time(seats_[other]->thread.load(std::memory_order_relaxed));
    if (!known || other != holder || time != ran)
      stalled = spent;
    else if (spent - stalled >= kStall && lend(other))
      return false;
    known = true;
    holder = other;
    ran = time;
  }
}

void Team::wake(Seat& seat) {
  if (!seat.sleeper.asleep()) return;
  seat.called.store(now(), std::memory_order_relaxed);
  seat.sleeper.wake();
}

}  // namespace qarepvgg
