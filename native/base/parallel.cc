#include "base/parallel.h"

#include <future>
#include <system_error>
#include <thread>
#include <vector>

#include "base/error.h"

namespace qarepvgg {

void admit_team(int threads) {
  thread_local int admitted = 1;
  if (threads <= admitted) return;
  std::promise<void> enough;
  const std::shared_future<void> wait(enough.get_future());
  std::vector<std::thread> team;
  team.reserve(static_cast<std::size_t>(threads));
  const auto dismiss = [&] {
    enough.set_value();
    for (std::thread& thread : team) thread.join();
  };
  try {
    for (int i = 1; i < threads; ++i) team.emplace_back([wait] { wait.wait(); });
  } catch (const std::system_error& error) {
    const std::size_t started = team.size() + 1;
    dismiss();
    fail(code::kOutOfMemory, "expected the system to run ", threads, " threads, received '", error.what(), "' after ",
         started);
  }
  dismiss();
  admitted = threads;
}

}  // namespace qarepvgg
