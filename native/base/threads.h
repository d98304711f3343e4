// How many threads this process may use, and where that number came from.
#pragma once

namespace qarepvgg {

struct ThreadBudget {
  int count;
  const char* source;  // "QAREPVGG_NUM_THREADS", "affinity" or "cgroup quota"
};

// Read once, at the first call. Throws ERR_INVALID_ARG when QAREPVGG_NUM_THREADS is not a whole number from 1 to 1024.
const ThreadBudget& thread_budget();

}  // namespace qarepvgg
