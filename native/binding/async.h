// Work off the JavaScript thread, and its promises. The only way to start such work.
#pragma once

#include <exception>
#include <memory>
#include <mutex>
#include <napi.h>
#include <unordered_map>

namespace qarepvgg::binding {

class AsyncRuns;

// One run. It owns everything that the compute thread touches, and holds no JavaScript references, because any thread
// may destroy it.
class AsyncRun : public std::enable_shared_from_this<AsyncRun> {
 public:
  AsyncRun() = default;
  virtual ~AsyncRun() = default;
  AsyncRun(const AsyncRun&) = delete;
  AsyncRun& operator=(const AsyncRun&) = delete;

 protected:
  // Queues the run for the compute thread. If it throws, the run is not queued.
  virtual void start();
  // Compute thread: does the work. If it throws, the promise rejects with the error.
  virtual void compute() {}
  // JavaScript thread: called when the work is done or has failed. `kept` is the argument of run_async.
  virtual void settled(const Napi::Object& kept) = 0;
  // JavaScript thread, after settled(): returns what the promise resolves to. If it throws, the promise rejects with
  // the error.
  virtual Napi::Value result(const Napi::Object& kept) = 0;
  // JavaScript thread, instead of these two: called if the environment ends before the work does.
  virtual void abandon() {}
  // After abandon() of all such runs. When it returns, the work does not touch memory of JavaScript any more.
  virtual void wait() {}

  // Any thread, once: call this when the work is done. Allocates nothing, so that no promise is lost for lack of
  // memory.
  void finish(std::exception_ptr failure) noexcept;

 private:
  friend class AsyncRuns;

  std::shared_ptr<AsyncRuns> runs_;
  std::shared_ptr<AsyncRun> on_its_way_;  // points to itself while its address is in the queue to the JavaScript thread
  std::exception_ptr failure_;
};

// A run that uses memory of JavaScript, which is freed when the environment ends.
class MemoryRun : public AsyncRun {
 protected:
  // Compute thread: calls use(), unless the environment has ended. Returns whether it did. The end waits for it.
  template <class Use>
  bool use_memory(const Use& use) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!abandoned_) use();
    return !abandoned_;
  }

 private:
  void abandon() final {
    const std::lock_guard<std::mutex> lock(mutex_);
    abandoned_ = true;
  }

  std::mutex mutex_;  // held while memory is used
  bool abandoned_ = false;
};

// Starts a run. The event loop and `kept` stay alive until it is settled. Throws if the run cannot start, and then has
// changed nothing.
Napi::Promise run_async(const Napi::Object& kept, const std::shared_ptr<AsyncRun>& run);

// The runs of one environment. Runs hold it by shared_ptr: it outlives the environment, and then ignores all calls.
class AsyncRuns : public std::enable_shared_from_this<AsyncRuns> {
 public:
  static std::shared_ptr<AsyncRuns> create(Napi::Env env);

  Napi::Promise start(const Napi::Object& kept, const std::shared_ptr<AsyncRun>& run);
  void deliver(AsyncRun& run) noexcept;

 private:
  struct Waiting {
    std::shared_ptr<AsyncRun> run;
    Napi::ObjectReference kept;
    Napi::Promise::Deferred deferred;
  };

  void forget(const AsyncRun* run) noexcept;
  void settle(Napi::Env env, AsyncRun& run) noexcept;
  void close();

  std::mutex mutex_;  // guards function_ and closed_ against the environment's end
  napi_threadsafe_function function_ = nullptr;
  bool closed_ = false;
  std::unordered_map<const AsyncRun*, Waiting> waiting_;  // JavaScript thread only
};

}  // namespace qarepvgg::binding
