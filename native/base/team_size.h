// How many members a team should have: all, unless fewer have been measured to be faster because other programs need
// processors. Then the team has fewer members for a while, and then tries all again.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace qarepvgg {

class TeamSize {
 public:
  using Time = std::chrono::nanoseconds;

  // The size that the team should have now, at most `members`.
  std::size_t most(std::size_t members) const { return limit_ == 0 ? members : std::min(limit_, members); }

  // Records how long a team of `members` took, and how long its caller would have taken alone, judging by its own
  // pieces. For a caller without a team, the two are the same.
  void record(std::size_t members, Time took, Time alone) {
    if (limit_ > 0) {
      rest_ -= took;
      if (rest_ <= Time(0)) limit_ = 0;
    }
    if (members == 1) return;
    took_ += took;
    alone_ += alone;
    const bool is_bad = took_ >= kGlance && 2 * took_ > 3 * alone_;
    if (took_ < kWindow && !is_bad) return;
    if (is_bad || took_ > alone_) {
      limit_ = std::max<std::size_t>(members / 2, 1);
      rest_ = pause_;
      pause_ = std::min(2 * pause_, kLongestPause);
    } else {
      pause_ = std::max(pause_ / 2, kShortestPause);
    }
    took_ = alone_ = Time(0);
  }

 private:
  // Times count work, not idle time, so that a server with few requests does not try in vain with each of them. A
  // window is longer than the time slices of other programs. A glance is enough to see that a team is slower by half.
  static constexpr Time kWindow = std::chrono::milliseconds(40), kGlance = std::chrono::milliseconds(10);
  static constexpr Time kShortestPause = std::chrono::milliseconds(100), kLongestPause = std::chrono::seconds(2);

  std::size_t limit_ = 0;  // 0: none
  Time rest_{0}, pause_ = kShortestPause, took_{0}, alone_{0};
};

}  // namespace qarepvgg
