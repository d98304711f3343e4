#include "program/inference_queue.h"

#include <algorithm>

#include "base/compute_queue.h"

namespace qarepvgg {
namespace {

// Images per thread of one pass: enough for threads to stay level, few enough to answer the first request soon.
constexpr std::size_t kImagesPerThread = 2;

}  // namespace

void InferenceQueue::submit(std::shared_ptr<InferenceRequest> request) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiting_.push_back(std::move(request));
  }
  compute_later([self = shared_from_this()] { self->run_pass(); });
}

void InferenceQueue::cancel(const std::shared_ptr<InferenceRequest>& request) {
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

// Every submit() comes with one pass; those whose request an earlier pass took along find less or nothing to do.
void InferenceQueue::run_pass() {
  std::vector<ImageTask> tasks;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = false;
    const std::size_t most = kImagesPerThread * static_cast<std::size_t>(program_->threads());
    while (!waiting_.empty()) {
      const auto& next = waiting_.front();
      const bool fits = next->size == (running_.empty() ? next : running_.front())->size;
      if (!running_.empty() && (!fits || tasks.size() + next->tasks.size() > most)) break;
      tasks.insert(tasks.end(), next->tasks.begin(), next->tasks.end());
      running_.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    if (running_.empty()) return;
  }
  std::exception_ptr failure;
  try {
    program_->run(running_.front()->size, tasks.data(), tasks.size(), stop_);
  } catch (...) {
    failure = std::current_exception();
  }
  std::vector<std::shared_ptr<InferenceRequest>> finished;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    finished.swap(running_);
  }
  for (const auto& request : finished) {
    request->failure = failure;
    request->done();
  }
}

void InferenceQueue::run_now(InferenceRequest& request) {
  compute_now([&] {
    const std::atomic<bool> never{false};
    program_->run(request.size, request.tasks.data(), request.tasks.size(), never);
  });
}

}  // namespace qarepvgg
