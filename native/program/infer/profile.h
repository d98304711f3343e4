// Measures the time of each step: prints a table to standard error when the program is destroyed, if QAREPVGG_PROFILE
// is set. Only runs whose steps a team shares are measured.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

namespace qarepvgg {

class Profile {
 public:
  // Null unless QAREPVGG_PROFILE is set.
  static std::unique_ptr<Profile> if_wanted();
  ~Profile();

  void add_step(const std::string& name, std::size_t pieces, double macs);
  static std::int64_t now();
  // Adds the time of a piece; any thread may call it.
  void add_piece(std::size_t step, std::int64_t start, std::int64_t end);
  void end_run(std::int64_t start, std::int64_t end);

 private:
  static constexpr std::int64_t kNever = INT64_MAX;
  static constexpr std::size_t kWarmUp = 3;

  struct Entry {
    std::string name;
    std::size_t pieces = 0;
    double macs = 0;
    std::atomic<std::int64_t> busy{0}, first{kNever}, last{0};
    std::int64_t span = 0;
  };

  std::deque<Entry> steps_;
  std::size_t seen_ = 0, runs_ = 0;
  std::int64_t total_ = 0;
};

}  // namespace qarepvgg
