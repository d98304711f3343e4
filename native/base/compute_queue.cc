#include "base/compute_queue.h"

#include <deque>
#include <exception>
#include <future>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "base/condition_variable.h"
#include "base/error.h"
#include "base/placement.h"

namespace qarepvgg {
namespace {

class Queue {
 public:
  void start() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (started_) return;
    try {
      std::thread([this] { work(); }).detach();
    } catch (const std::system_error& error) {
      fail(code::kOutOfMemory, "expected the system to start the compute thread, received '", error.what(), "'");
    }
    started_ = true;
  }

  void push(std::function<void()> job) {
    start();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
  }

 private:
  [[noreturn]] void work() {
    compute_for_long();
    for (;;) {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return !jobs_.empty(); });
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  bool started_ = false;
};

// Never destroyed: the compute thread may still be in it while the process exits.
Queue& queue() {
  static Queue& instance = *new Queue;
  return instance;
}

}  // namespace

void start_computing() { queue().start(); }

void compute_later(std::function<void()> job) { queue().push(std::move(job)); }

void compute_now(const std::function<void()>& job) {
  // Shared, because the compute thread may still be in set_value() when this thread continues.
  const auto done = std::make_shared<std::promise<void>>();
  std::future<void> result = done->get_future();
  queue().push([&job, done] {
    try {
      job();
    } catch (...) {
      done->set_exception(std::current_exception());
      return;
    }
    done->set_value();
  });
  result.get();
}

}  // namespace qarepvgg
