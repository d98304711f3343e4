// Brings word from the compute thread back to the JavaScript thread that asked.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <napi.h>
#include <unordered_map>

namespace qarepvgg::binding {

// One per environment. Continuations hold JavaScript references, so they are made, run and destroyed on the JavaScript
// thread only; other threads know a ticket. Jobs hold this by shared_ptr: it outlives the environment, and then ignores
// what it is told.
class Completions : public std::enable_shared_from_this<Completions> {
 public:
  using Ticket = std::uint64_t;
  using Continuation = std::function<void(Napi::Env)>;

  static std::shared_ptr<Completions> create(Napi::Env env);

  // JavaScript thread: keeps a continuation, and with it the event loop alive. Where the environment ends before the
  // ticket is delivered, `abandon` is called instead. Starts the compute thread first: where that fails, this throws.
  Ticket expect(Napi::Env env, Continuation continuation, std::function<void()> abandon = {});
  // Any thread: has the ticket's continuation run on the JavaScript thread, unless the environment is gone by then.
  void deliver(Ticket ticket);

 private:
  struct Word;

  void settle(Napi::Env env, Ticket ticket);
  void close();

  std::mutex mutex_;  // guards function_ and closed_ against the environment's end
  napi_threadsafe_function function_ = nullptr;
  bool closed_ = false;

  struct Waiting {
    Continuation continuation;
    std::function<void()> abandon;
  };
  std::unordered_map<Ticket, Waiting> waiting_;
  Ticket next_ = 0;
};

}  // namespace qarepvgg::binding
