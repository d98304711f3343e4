#include "base/compute_queue.h"

#include <atomic>
#include <chrono>
#include <deque>
#include <exception>
#include <future>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "base/condition_variable.h"
#include "base/crowding.h"
#include "base/error.h"
#include "base/placement.h"
#include "base/spin.h"
#include "base/threads.h"

namespace qarepvgg {
namespace {

// How long the compute thread looks for the next job before it sleeps: longer than JavaScript takes from one result to
// the next run. A thread that sleeps needs up to 200 microseconds to start.
constexpr std::chrono::microseconds kSpin(500);

class Queue {
 public:
  void start() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (started_) return;
    may_spin_ = thread_budget().count > 1;
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
      has_jobs_.store(true, std::memory_order_relaxed);
      if (!sleeps_) return;
    }
    wake_.notify_one();
  }

 private:
  [[noreturn]] void work() {
    compute_for_long();
    for (;;) take()();
  }

  // Waits for a job. Spins first, if the job before came that soon, too.
  std::function<void()> take() {
    const auto start = std::chrono::steady_clock::now();
    if (came_soon_ && may_spin_ && !is_crowded())
      spin_until(start + kSpin, [this] { return has_jobs_.load(std::memory_order_relaxed); });
    std::unique_lock<std::mutex> lock(mutex_);
    sleeps_ = true;
    wake_.wait(lock, [this] { return !jobs_.empty(); });
    sleeps_ = false;
    came_soon_ = std::chrono::steady_clock::now() - start < kSpin;
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    has_jobs_.store(!jobs_.empty(), std::memory_order_relaxed);
    return job;
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  std::atomic<bool> has_jobs_{false};  // the same as !jobs_.empty(), for a thread without the mutex
  bool started_ = false, sleeps_ = false;
  bool may_spin_ = false;   // whether other threads have a processor of their own meanwhile
  bool came_soon_ = false;  // compute thread only
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
