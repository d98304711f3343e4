// Teams with forced schedules: members that sleep at random points, with and without a piece, members that never come,
// more members than processors. Each piece must run once, no step may begin early, and programs must compute the same
// bits.
#include "base/team.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif

#include "program/train/program.h"
#include "test/harness.h"
#include "test/quantized_chain.h"
#include "test/random_chain.h"
#include "test/random_program.h"
#include "test/tensors.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

constexpr std::size_t kTeams[]{2, 3, 7};

void sleep_for_microseconds(std::size_t time) { std::this_thread::sleep_for(std::chrono::microseconds(time)); }

std::atomic<std::uint64_t> schedule{0};

// Sleeps about every eighth time, for a short time or for longer than others spin.
void sleep_at_random(std::size_t member, bool) {
  std::uint64_t mixed = (schedule.fetch_add(1) + 1) * 0x9e3779b97f4a7c15 + member;
  mixed ^= mixed >> 29;
  if (mixed % 8 == 0) sleep_for_microseconds(mixed / 8 % 16 == 0 ? 1500 : mixed / 128 % 100);
}

// Interrupts members that hold a piece, as another program would.
void sleep_with_pieces(std::size_t, bool holds) {
  if (holds && schedule.fetch_add(1) % 16 == 0) sleep_for_microseconds(2000);
}

std::atomic<bool> stay_away{false};

void never_come(std::size_t member, bool holds) {
  while (member > 0 && !holds && stay_away.load()) sleep_for_microseconds(200);
}

// All members come late.
void come_late(std::size_t member, bool holds) {
  if (member > 0 && !holds) sleep_for_microseconds(300);
}

constexpr Team::Disturbance kSchedules[]{nullptr, sleep_at_random, sleep_with_pieces, never_come, come_late};

class Schedule {
 public:
  explicit Schedule(Team::Disturbance disturbance) {
    stay_away = true;
    Team::instance().disturb(disturbance);
  }
  ~Schedule() {
    Team::instance().disturb(nullptr);
    stay_away = false;
  }
  Schedule(const Schedule&) = delete;
  Schedule& operator=(const Schedule&) = delete;
};

// Counts what happens.
class Counted final : public Work {
 public:
  explicit Counted(Rng& rng) : pieces_(rng.between(1, 12)) {
    for (std::size_t& pieces : pieces_) pieces = rng.chance(0.1) ? 0 : rng.between(1, rng.chance(0.3) ? 60 : 6);
    for (std::size_t pieces : pieces_) {
      runs_.emplace_back(pieces);
      done_.push_back(std::make_unique<std::atomic<std::size_t>>(0));
    }
    for (auto& member : members_) member = std::vector<std::atomic<int>>(pieces_.size());
  }

  std::size_t steps() const override { return pieces_.size(); }
  std::size_t pieces(std::size_t step) const override { return pieces_[step]; }
  double size(std::size_t step) const override { return static_cast<double>(pieces_[step]); }
  void run(std::size_t step, const Piece& piece) const override {
    for (std::size_t before = 0; before < step; ++before)
      if (*done_[before] != pieces_[before]) early_ = true;
    ++runs_[step][piece.index];
    const bool was_first = members_[piece.member][step]++ == 0;
    if (was_first != piece.first) wrong_first_ = true;
    ++*done_[step];
  }

  bool ran_once() const {
    for (const auto& step : runs_)
      for (const std::atomic<int>& runs : step)
        if (runs != 1) return false;
    return true;
  }
  bool early() const { return early_; }
  bool wrong_first() const { return wrong_first_; }
  bool used(std::size_t member) const {
    for (const std::atomic<int>& pieces : members_[member])
      if (pieces > 0) return true;
    return false;
  }

 private:
  std::vector<std::size_t> pieces_;
  mutable std::vector<std::vector<std::atomic<int>>> runs_;
  mutable std::vector<std::unique_ptr<std::atomic<std::size_t>>> done_;
  mutable std::vector<std::atomic<int>> members_[9];
  mutable std::atomic<bool> early_{false}, wrong_first_{false};
};

void check(const Counted& work, std::size_t members, const std::string& where) {
  CHECK(work.ran_once(), where);
  CHECK(!work.early(), where, ": a step began before the one before it was done");
  CHECK(!work.wrong_first(), where);
  for (std::size_t member = members; member < 9; ++member) CHECK(!work.used(member), where);
}

TEST(team_runs_each_piece_once) {
  test.repeat(60, [](Rng& rng) {
    for (std::size_t which = 0; which < 5; ++which)
      for (std::size_t members : kTeams) {
        const Schedule schedule(kSchedules[which]);
        const Counted work(rng);
        Team::instance().run(members, work);
        check(work, members, text_of("schedule ", which, ", ", members, " members"));
      }
  });
}

TEST(team_does_not_need_its_members) {
  const Schedule schedule(never_come);
  test.repeat(20, [](Rng& rng) {
    const Counted work(rng);
    Team::instance().run(7, work);
    check(work, 7, "members that stay away");
    // A member that came just before may still have taken a piece; after that, none comes.
    const Counted again(rng);
    Team::instance().run(7, again);
    for (std::size_t member = 1; member < 7; ++member) CHECK(!again.used(member), "member ", member);
  });
}

// Callers on threads of their own, and pieces that call: a caller that finds the team busy works alone.
TEST(team_with_several_callers) {
  test.repeat(20, [](Rng& rng) {
    const Schedule schedule(rng.chance(0.5) ? sleep_at_random : nullptr);
    std::vector<std::unique_ptr<Counted>> works;
    for (int i = 0; i < 3; ++i) works.push_back(std::make_unique<Counted>(rng));
    std::vector<std::thread> callers;
    for (const auto& work : works) callers.emplace_back([&work] { Team::instance().run(3, *work); });
    for (std::thread& caller : callers) caller.join();
    for (const auto& work : works) check(*work, 3, "one of three callers");
    std::vector<std::atomic<int>> inner(8 * 5);
    parallel_for(3, 8, [&](std::size_t i) { parallel_for(3, 5, [&](std::size_t j) { ++inner[i * 5 + j]; }); });
    for (const std::atomic<int>& runs : inner) CHECK_EQUAL(runs, 1, "a piece of a piece");
  });
}

#ifdef __linux__
// A member that waits lends its processor to the holder of a piece, and gets it back after the piece.
TEST(team_gives_processors_back) {
  cpu_set_t before, after;
  CHECK_EQUAL(sched_getaffinity(0, sizeof before, &before), 0, "the caller");
  const Schedule schedule(sleep_with_pieces);
  test.repeat(10, [&](Rng& rng) {
    const Counted work(rng);
    Team::instance().run(3, work);
    check(work, 3, "interrupted members");
    CHECK_EQUAL(sched_getaffinity(0, sizeof after, &after), 0, "the caller");
    CHECK(CPU_EQUAL(&before, &after), "the caller may use ", CPU_COUNT(&after), " of ", CPU_COUNT(&before));
  });
}

// Interrupts a member for about as long as others wait before they lend: it may finish its piece at that moment.
void sleep_until_lending(std::size_t, bool holds) {
  if (holds) sleep_for_microseconds(schedule.fetch_add(1) * 7 % 200);
}

TEST(team_lends_only_to_holders_of_pieces) {
  const Schedule schedule(sleep_until_lending);
  test.repeat(40, [&](Rng& rng) {
    const Counted work(rng);
    Team::instance().run(3, work);
    for (int i = 0; i < 1000 && Team::instance().borrowers() > 0; ++i) sleep_for_microseconds(1000);
    CHECK_EQUAL(Team::instance().borrowers(), std::size_t{0}, "borrowers after a run");
  });
}
#endif

// ---- how many members there are ----------------------------------------------------------------------------------

using Time = TeamSize::Time;
constexpr Time kRun = std::chrono::milliseconds(5);

// Runs until the team has that size; returns the number of runs, at most 10,000.
int runs_until(TeamSize& size, std::size_t members, Time alone) {
  for (int runs = 0; runs < 10000; ++runs) {
    const std::size_t now = size.most(4);
    if (now == members) return runs;
    size.record(now, kRun, now == 1 ? kRun : alone);
  }
  return 10000;
}

TEST(team_size_follows_what_is_measured) {
  TeamSize size;
  CHECK_EQUAL(size.most(4), std::size_t{4}, "the beginning");
  CHECK_EQUAL(size.most(1), std::size_t{1}, "a caller that wants no team");
  CHECK_EQUAL(runs_until(size, 1, 3 * kRun), 10000, "a team three times as fast as its caller");
  // A team that is only a little slower shrinks after a while. It halves until one member is left.
  CHECK(runs_until(size, 2, kRun * 9 / 10) >= 8, "a window is 40 ms");
  TeamSize bad;
  CHECK_EQUAL(runs_until(bad, 2, kRun / 2), 2, "what is much worse shows in 10 ms");
}

TEST(team_size_tries_again_less_and_less_often) {
  TeamSize size;
  const auto pause = [&] {
    runs_until(size, 2, kRun / 2);
    return runs_until(size, 4, kRun / 2);
  };
  int before = 0;
  for (int i = 0; i < 3; ++i) {
    const int runs = pause();
    CHECK(runs > before && runs < 10000, runs, " runs of 5 ms, after ", before);
    before = runs;
  }
  CHECK_EQUAL(runs_until(size, 4, 3 * kRun), 0, "now there is room");
}

// ---- whole programs ----------------------------------------------------------------------------------------------

void check_inference(Rng& rng, Chain chain) {
  const ImageSize size = chain.size();
  std::vector<reference::Values> images;
  for (int i = 0; i < 5; ++i) images.push_back(random_image(rng, chain, size));
  const auto run = [&](int threads) {
    chain.spec.threads = threads;
    // The networks are small: 0 lets any team share an image.
    InferenceProgram program(chain, Algorithm::kAuto, 0);
    reference::Values all;
    for (std::size_t count : {std::size_t{1}, images.size()})
      for (const reference::Values& output : infer(rng, program, size, images, count))
        all.insert(all.end(), output.begin(), output.end());
    return all;
  };
  const reference::Values expected = run(1);
  for (std::size_t which = 1; which < 5; ++which) {
    const Schedule schedule(kSchedules[which]);
    for (std::size_t members : kTeams)
      CHECK_VALUES(run(static_cast<int>(members)), expected, 0.0, describe(chain), ", ", members, " members, schedule ",
                   which);
  }
}

TEST(team_schedules_of_inference) {
  test.repeat(20, [](Rng& rng) { check_inference(rng, random_chain(rng, 24)); });
}

TEST(team_schedules_of_integers) {
  test.repeat(20, [](Rng& rng) { check_inference(rng, random_quantized_chain(rng, 24)); });
}

TEST(team_schedules_of_training) {
  test.repeat(20, [](Rng& rng) {
    // Enough work for a team to share.
    RandomProgram random = random_program(rng, kWinogradDims, {3, 40, 18, 18});
    while (!random.spec.training) random = random_program(rng, kWinogradDims, {3, 40, 18, 18});
    const reference::Tensor input = random.random_input(rng), gradient = random.random_output_gradient(rng);
    const std::vector<float> x(input.data.begin(), input.data.end()), dy(gradient.data.begin(), gradient.data.end());
    const auto run = [&](int threads) {
      random.spec.threads = threads;
      Program program(random.spec);
      std::vector<float> state(random.state.begin(), random.state.end()), gradients(state.size(), 0.0f);
      std::vector<float> y(dy.size()), dx(x.size());
      program.forward(x.data(), state.data(), y.data());
      program.backward(dy.data(), state.data(), gradients.data(), dx.data());
      reference::Values all;
      for (const auto* values : {&y, &dx, &state, &gradients}) all.insert(all.end(), values->begin(), values->end());
      return all;
    };
    const reference::Values expected = run(1);
    for (std::size_t which = 1; which < 5; ++which) {
      const Schedule schedule(kSchedules[which]);
      for (std::size_t members : kTeams)
        CHECK_VALUES(run(static_cast<int>(members)), expected, 0.0, members, " members, schedule ", which);
    }
  });
}

}  // namespace
}  // namespace qarepvgg::test
