// Work off the JavaScript thread, and the promises that stand for it. The one way to start such work.
#pragma once

#include <exception>
#include <memory>
#include <mutex>
#include <napi.h>
#include <unordered_map>

namespace qarepvgg::binding {

class AsyncRuns;

// One run. It owns all that the compute thread touches and no JavaScript reference: the last thread that lets go of it
// destroys it.
class AsyncRun : public std::enable_shared_from_this<AsyncRun> {
 public:
  AsyncRun() = default;
  virtual ~AsyncRun() = default;
  AsyncRun(const AsyncRun&) = delete;
  AsyncRun& operator=(const AsyncRun&) = delete;

 protected:
  // Hands the run over to the compute thread. Where it throws, nothing has been handed over.
  virtual void start();
  // Compute thread: the work. What it throws, the promise rejects with.
  virtual void compute() {}
  // JavaScript thread, when the work is done or has failed. `kept` is what run_async was given.
  virtual void settled(const Napi::Object& kept) = 0;
  // JavaScript thread, behind settled(): what the promise resolves to. What it throws, the promise rejects with.
  virtual Napi::Value result(Napi::Env env) = 0;
  // JavaScript thread, in place of both: the environment ends before the work does.
  virtual void abandon() {}

  // Any thread, once: the work is done. Allocates nothing, so that no promise is lost for lack of memory.
  void finish(std::exception_ptr failure) noexcept;

 private:
  friend class AsyncRuns;

  std::shared_ptr<AsyncRuns> runs_;
  std::shared_ptr<AsyncRun> on_its_way_;  // itself, while its address is in the queue to the JavaScript thread
  std::exception_ptr failure_;
};

// Starts a run. Until it is settled, the event loop and `kept` stay alive. Throws where the run could not start, and
// nothing is left of it then.
Napi::Promise run_async(const Napi::Object& kept, const std::shared_ptr<AsyncRun>& run);

// The runs of one environment. Runs hold this by shared_ptr: it outlives the environment, and then ignores what it is
// told.
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
