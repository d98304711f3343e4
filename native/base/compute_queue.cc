#include "base/compute_queue.h"

#include <condition_variable>
#include <deque>
#include <exception>
#include <future>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "base/error.h"

#if defined(__GLIBC__) && defined(__GLIBCXX__)
// The library of GCC 12 has a second version of this function, which does the same but for cancelled threads. The
// first version is in the library of GCC 11 too: Amazon Linux 2023 and Red Hat Enterprise Linux 9 have that one.
__asm__(
    ".symver _ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE,"
    "_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE@GLIBCXX_3.4.11");
#endif

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
  std::promise<void> done;
  queue().push([&] {
    try {
      job();
      done.set_value();
    } catch (...) {
      done.set_exception(std::current_exception());
    }
  });
  done.get_future().get();
}

}  // namespace qarepvgg
