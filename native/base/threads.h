// How many threads this process may use, and where that number came from.
#pragma once

namespace qarepvgg {

// More threads than any supported machine has. The limit keeps a mistyped number from starting too many.
inline constexpr int kMaxThreads = 1024;

struct ThreadBudget {
  int count;
  const char* source;  // "QAREPVGG_NUM_THREADS", "affinity" or "cgroup quota"
};

// Computed at the first call. Throws ERR_INVALID_ARG if QAREPVGG_NUM_THREADS is not a whole number from 1 to 1024.
const ThreadBudget& thread_budget();

}  // namespace qarepvgg
