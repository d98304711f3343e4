#include "binding/completions.h"

#include <utility>

#include "base/compute_queue.h"
#include "base/error.h"

namespace qarepvgg::binding {
namespace {

void check(napi_status status) {
  if (status != napi_ok) fail(code::kOutOfMemory, "expected to reach the JavaScript thread, Node-API status ", status);
}

}  // namespace

// What is queued carries its own shared_ptr: no context that Node could free before the queue is drained.
struct Completions::Word {
  std::shared_ptr<Completions> to;
  Ticket ticket;
};

std::shared_ptr<Completions> Completions::create(Napi::Env env) {
  auto self = std::make_shared<Completions>();
  const auto call = [](napi_env raw_env, napi_value, void*, void* data) {
    const std::unique_ptr<Word> word(static_cast<Word*>(data));
    if (raw_env != nullptr) word->to->settle(raw_env, word->ticket);  // null: the environment is going down
  };
  check(napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "qarepvgg"), 0, 1, nullptr,
                                        nullptr, nullptr, call, &self->function_));
  check(napi_unref_threadsafe_function(env, self->function_));
  // Cleanup hooks run last-in first-out: this one before Node destroys the thread-safe function.
  env.AddCleanupHook([self] { self->close(); });
  return self;
}

Completions::Ticket Completions::expect(Napi::Env env, Continuation continuation, std::function<void()> abandon) {
  start_computing();
  if (waiting_.empty()) check(napi_ref_threadsafe_function(env, function_));
  waiting_.emplace(next_, Waiting{std::move(continuation), std::move(abandon)});
  return next_++;
}

void Completions::deliver(Ticket ticket) {
  auto word = std::make_unique<Word>(Word{shared_from_this(), ticket});
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) return;
  if (napi_call_threadsafe_function(function_, word.get(), napi_tsfn_nonblocking) == napi_ok) word.release();
}

void Completions::settle(Napi::Env env, Ticket ticket) {
  const auto node = waiting_.extract(ticket);
  if (waiting_.empty()) napi_unref_threadsafe_function(env, function_);
  try {
    node.mapped().continuation(env);
  } catch (...) {
    // JavaScript can no longer run here: nobody is left to tell.
  }
}

void Completions::close() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
  }
  const std::unordered_map<Ticket, Waiting> abandoned = std::move(waiting_);
  waiting_.clear();
  for (const auto& [ticket, waiting] : abandoned)
    if (waiting.abandon) waiting.abandon();
}

}  // namespace qarepvgg::binding
