#include "binding/async.h"

#include <utility>

#include "base/compute_queue.h"
#include "binding/guard.h"

namespace qarepvgg::binding {
namespace {

void check(napi_status status) {
  if (status != napi_ok) fail(code::kOutOfMemory, "expected to reach the JavaScript thread, Node-API status ", status);
}

}  // namespace

void AsyncRun::start() {
  compute_later([self = shared_from_this()] {
    std::exception_ptr failure;
    try {
      self->compute();
    } catch (...) {
      failure = std::current_exception();
    }
    self->finish(std::move(failure));
  });
}

void AsyncRun::finish(std::exception_ptr failure) noexcept {
  failure_ = std::move(failure);
  runs_->deliver(*this);
}

Napi::Promise run_async(const Napi::Object& kept, const std::shared_ptr<AsyncRun>& run) {
  return environment(kept.Env()).runs->start(kept, run);
}

std::shared_ptr<AsyncRuns> AsyncRuns::create(Napi::Env env) {
  auto self = std::make_shared<AsyncRuns>();
  // A queued run keeps itself alive. It is not a context of the function, which Node could free before the queue is
  // empty.
  const auto call = [](napi_env raw_env, napi_value, void*, void* data) {
    const std::shared_ptr<AsyncRun> run = std::move(static_cast<AsyncRun*>(data)->on_its_way_);
    if (raw_env != nullptr) run->runs_->settle(raw_env, *run);  // null: the environment is going down
  };
  check(napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "qarepvgg"), 0, 1, nullptr,
                                        nullptr, nullptr, call, &self->function_));
  check(napi_unref_threadsafe_function(env, self->function_));
  // Cleanup hooks run in reverse order, so this one runs before Node destroys the thread-safe function.
  env.AddCleanupHook([self] { self->close(); });
  return self;
}

Napi::Promise AsyncRuns::start(const Napi::Object& kept, const std::shared_ptr<AsyncRun>& run) {
  const Napi::Env env = kept.Env();
  start_computing();
  run->runs_ = shared_from_this();
  const Napi::Promise::Deferred deferred(env);
  try {
    waiting_.emplace(run.get(), Waiting{run, Napi::Persistent(kept), deferred});
    if (waiting_.size() == 1) check(napi_ref_threadsafe_function(env, function_));
    run->start();
  } catch (...) {
    forget(run.get());
    deferred.Resolve(env.Undefined());  // nobody has the promise; settling it makes Node free the deferred
    throw;
  }
  return deferred.Promise();
}

void AsyncRuns::deliver(AsyncRun& run) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) return;
  run.on_its_way_ = run.shared_from_this();
  if (napi_call_threadsafe_function(function_, &run, napi_tsfn_nonblocking) != napi_ok) run.on_its_way_.reset();
}

// After the last run, the environment may end.
void AsyncRuns::forget(const AsyncRun* run) noexcept {
  const auto node = waiting_.extract(run);
  if (!node.empty() && waiting_.empty()) napi_unref_threadsafe_function(node.mapped().kept.Env(), function_);
}

void AsyncRuns::settle(Napi::Env env, AsyncRun& run) noexcept {
  const auto node = waiting_.extract(&run);
  if (node.empty()) return;
  if (waiting_.empty()) napi_unref_threadsafe_function(env, function_);
  const Waiting& waiting = node.mapped();
  try {
    napi_value value = nullptr;
    bool failed = false;
    try {
      const Napi::Object kept = waiting.kept.Value();
      run.settled(kept);
      if (run.failure_) std::rethrow_exception(run.failure_);
      value = run.result(kept);
    } catch (...) {
      value = translate(env, std::current_exception()).Value();
      failed = true;
    }
    // Outside of the `try`: Node frees a deferred even if settling it fails, so it must be settled once only.
    if (failed)
      waiting.deferred.Reject(value);
    else
      waiting.deferred.Resolve(value);
  } catch (...) {
    // JavaScript cannot run here any more, so there is nobody to tell.
  }
}

void AsyncRuns::close() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
  }
  const auto abandoned = std::move(waiting_);
  waiting_.clear();
  for (const auto& [run, waiting] : abandoned) waiting.run->abandon();
  for (const auto& [run, waiting] : abandoned) waiting.run->wait();
}

}  // namespace qarepvgg::binding
