// The one thread that computes. Jobs of all JavaScript threads wait in one queue and run one after the other, each on
// the whole team. OpenMP keeps a team for each calling thread, so a second caller would have a second team on the same
// CPUs.
#pragma once

#include <functional>

namespace qarepvgg {

// Starts the compute thread unless it is running. Throws ERR_OUT_OF_MEMORY if the system refuses.
void start_computing();

// Queues `job` for the compute thread. The job must own everything it touches and must not throw. If this function
// throws, the job does not run.
void compute_later(std::function<void()> job);

// Runs `job` on the compute thread and waits for it. Exceptions of the job are rethrown here.
void compute_now(const std::function<void()>& job);

}  // namespace qarepvgg
