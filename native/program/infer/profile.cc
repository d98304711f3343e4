#include "program/infer/profile.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace qarepvgg {

std::unique_ptr<Profile> Profile::if_wanted() {
  const char* text = std::getenv("QAREPVGG_PROFILE");
  return text != nullptr && *text != '\0' ? std::make_unique<Profile>() : nullptr;
}

Profile::~Profile() {
  if (runs_ == 0) return;
  const double runs = static_cast<double>(runs_) * 1e6;
  std::vector<const Entry*> order;
  std::int64_t spans = 0;
  for (const Entry& step : steps_) {
    order.push_back(&step);
    spans += step.span;
  }
  std::stable_sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) { return a->span > b->span; });
  std::fprintf(stderr, "%zu runs of %.3f ms, %.3f of them between steps\n%9s %9s %6s %9s  step\n", runs_,
               static_cast<double>(total_) / runs, static_cast<double>(total_ - spans) / runs, "ms", "ms busy",
               "pieces", "GFLOP/s");
  for (const Entry* step : order) {
    const double speed =
        step->span > 0 ? 2 * step->macs * static_cast<double>(runs_) / static_cast<double>(step->span) : 0;
    std::fprintf(stderr, "%9.3f %9.3f %6zu %9.1f  %s\n", static_cast<double>(step->span) / runs,
                 static_cast<double>(step->busy) / runs, step->pieces, speed, step->name.c_str());
  }
}

void Profile::add_step(const std::string& name, std::size_t pieces, double macs) {
  Entry& step = steps_.emplace_back();
  step.name = name;
  step.pieces = pieces;
  step.macs = macs;
}

std::int64_t Profile::now() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Profile::add_piece(std::size_t step, std::int64_t start, std::int64_t end) {
  Entry& entry = steps_[step];
  entry.busy += end - start;
  for (std::int64_t seen = entry.first; start < seen && !entry.first.compare_exchange_weak(seen, start);) continue;
  for (std::int64_t seen = entry.last; end > seen && !entry.last.compare_exchange_weak(seen, end);) continue;
}

void Profile::end_run(std::int64_t start, std::int64_t end) {
  // The first runs do not count, because they touch new memory.
  const bool counts = ++seen_ > kWarmUp;
  if (counts) {
    ++runs_;
    total_ += end - start;
  }
  for (Entry& step : steps_) {
    if (counts && step.first != kNever) step.span += step.last - step.first;
    if (!counts) step.busy = 0;
    step.first = kNever;
    step.last = 0;
  }
}

}  // namespace qarepvgg
