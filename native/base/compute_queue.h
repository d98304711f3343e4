// The one thread that computes. Jobs of all JavaScript threads wait in one queue and run one after the other, each with
// the whole team: OpenMP keeps a team per calling thread, so a second caller would mean a second team on the same CPUs.
#pragma once

#include <functional>

namespace qarepvgg {

// Starts the compute thread unless it runs. Throws ERR_OUT_OF_MEMORY where the system refuses.
void start_computing();

// Runs `job` on the compute thread, later. The job must own all it touches and must not throw. Where this throws, the
// job will not run.
void compute_later(std::function<void()> job);

// Runs `job` on the compute thread and waits for it. Exceptions of the job are rethrown here.
void compute_now(const std::function<void()>& job);

}  // namespace qarepvgg
