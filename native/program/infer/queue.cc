#include "program/infer/queue.h"

#include <algorithm>
#include <chrono>

#include "base/compute_queue.h"

namespace qarepvgg {
namespace {

// Images per thread in one pass: enough to balance the load of threads, few enough to answer the first request soon.
constexpr std::size_t kImagesPerThread = 2;

}  // namespace

void GraphQueue::submit(std::shared_ptr<GraphRequest> request) {
  std::list<std::shared_ptr<GraphRequest>> one;
  one.push_back(std::move(request));
  // If the pass starts at once, it waits for the lock and so finds the request.
  const std::lock_guard<std::mutex> lock(mutex_);
  compute_later([self = shared_from_this()] { self->run_pass(); });
  waiting_.splice(waiting_.end(), one);
}

void GraphQueue::cancel(const std::shared_ptr<GraphRequest>& request) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto waiting = std::find(waiting_.begin(), waiting_.end(), request);
    if (waiting == waiting_.end()) {
      if (std::find(running_.begin(), running_.end(), request) == running_.end()) return;
      request->cancelled = true;
      const auto cancelled = [](const auto& other) { return other->cancelled; };
      stop_ = std::all_of(running_.begin(), running_.end(), cancelled);
      return;
    }
    waiting_.erase(waiting);
    request->cancelled = true;
  }
  request->done();
}

// Every submit() queues one pass. If an earlier pass has taken the request, the pass finds less or nothing to do.
void GraphQueue::run_pass() noexcept {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = false;
    const std::size_t most = kImagesPerThread * static_cast<std::size_t>(program_->threads());
    std::size_t images = 0;
    while (!waiting_.empty()) {
      const GraphRequest& next = *waiting_.front();
      const bool fits = running_.empty() || (next.dims == running_.front()->dims && images + next.tasks.size() <= most);
      if (!fits) break;
      images += next.tasks.size();
      running_.splice(running_.end(), waiting_, waiting_.begin());
    }
    if (running_.empty()) return;
  }
  std::exception_ptr failure;
  try {
    run_together();
  } catch (...) {
    failure = std::current_exception();
  }
  std::list<std::shared_ptr<GraphRequest>> finished;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    finished.swap(running_);
  }
  for (const auto& request : finished) {
    request->failure = failure;
    request->done();
  }
}

// Only this thread changes running_ and its requests.
void GraphQueue::run_together() {
  std::vector<GraphTask> tasks;
  for (const auto& request : running_) tasks.insert(tasks.end(), request->tasks.begin(), request->tasks.end());
  const auto start = std::chrono::steady_clock::now();
  program_->run(running_.front()->dims, tasks.data(), tasks.size(), stop_);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  for (const auto& request : running_)
    if (!request->tasks.empty())
      request->compute_time = took * (static_cast<double>(request->tasks.size()) / static_cast<double>(tasks.size()));
}

void GraphQueue::run_now(GraphRequest& request) {
  compute_now([&] {
    const std::atomic<bool> never{false};
    const auto start = std::chrono::steady_clock::now();
    program_->run(request.dims, request.tasks.data(), request.tasks.size(), never);
    request.compute_time = std::chrono::steady_clock::now() - start;
  });
}

}  // namespace qarepvgg
