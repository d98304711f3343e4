// How many members a team should have: all, unless it was measured that fewer are faster, because processors are needed
// elsewhere. Then fewer for a while, and all again, to see.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace qarepvgg {

class TeamSize {
 public:
  using Time = std::chrono::nanoseconds;

  // The largest team now, of at most `members`.
  std::size_t most(std::size_t members) const { return limit_ == 0 ? members : std::min(limit_, members); }

  // What a team of `members` took, and what its caller alone would have taken, by how fast it did its own pieces. For a
  // caller alone, the two are the same.
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
  // Of work, not of idleness: a server with few requests should not try in vain with each of them. A window is longer
  // than systems let other programs run at a stretch; what is worse by half shows at a glance.
  static constexpr Time kWindow = std::chrono::milliseconds(40), kGlance = std::chrono::milliseconds(10);
  static constexpr Time kShortestPause = std::chrono::milliseconds(100), kLongestPause = std::chrono::seconds(2);

  std::size_t limit_ = 0;  // 0: none
  Time rest_{0}, pause_ = kShortestPause, took_{0}, alone_{0};
};

}  // namespace qarepvgg
