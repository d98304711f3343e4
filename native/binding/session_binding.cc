#include "binding/session_binding.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/checked.h"
#include "base/compute_queue.h"
#include "binding/arguments.h"
#include "binding/async.h"
#include "binding/graph_spec.h"
#include "binding/guard.h"
#include "binding/results.h"
#include "binding/run_arguments.h"
#include "program/infer/queue.h"

namespace qarepvgg::binding {
namespace {

using Milliseconds = std::chrono::duration<double, std::milli>;

// What the compute thread makes for a session.
struct Made {
  std::shared_ptr<GraphQueue> queue;
  std::shared_ptr<const ByteScale> bytes;  // null if images are floats
  std::shared_ptr<BufferPool> copies = std::make_shared<BufferPool>();
};

class SessionRun;

class SessionObject final : public Napi::ObjectWrap<SessionObject> {
 public:
  explicit SessionObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SessionObject>(info) {
    // Only createSession can construct it, with an External.
    if (info.Length() != 1 || !info[0].IsExternal())
      throw make_error(info.Env(), code::kInvalidArg, "expected a session to be made by createSession()");
    made_ = std::move(*info[0].As<Napi::External<Made>>().Data());
    memory_ = static_cast<std::int64_t>(program().memory_bytes());
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), memory_);
  }

  void Finalize(Napi::Env env) override { release(env); }

  Napi::Value output_dims(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      // A copy, because elements may be getters that dispose the session.
      const Made made = in_use();
      const std::vector<TensorType> outputs = outputs_for(made, read_dims(info[0], made.queue->program()));
      const Napi::Array list = Napi::Array::New(info.Env(), outputs.size());
      for (std::uint32_t i = 0; i < outputs.size(); ++i) list.Set(i, new_dims(info.Env(), outputs[i].dims));
      return list;
    });
  }

  Napi::Value takes_bytes(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      return Napi::Boolean::New(info.Env(), program().takes_bytes() && made_.bytes != nullptr);
    });
  }

  Napi::Value memory_bytes(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      return Napi::Number::New(info.Env(), static_cast<double>(program().memory_bytes()));
    });
  }

  // Works after dispose(), too.
  Napi::Value compute_time(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), compute_time_.count());
  }

  Napi::Value run_sync(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    return guard(env, [&]() -> Napi::Value {
      const Made made = in_use();
      const RunArguments run = arguments_of(info, made);
      const NewArrays results = new_arrays(env, run.outputs, run.count);
      const Borrow borrow;
      GraphRequest request;
      add_tasks(request, run, run.borrow_inputs(borrow), results.data, made.bytes.get());
      made.queue->run_now(request);
      compute_time_ += request.compute_time;
      return results.list;
    });
  }

  // Returns { promise, ticket }.
  Napi::Value run(const Napi::CallbackInfo& info);
  void run_settled(std::size_t ticket, Milliseconds compute_time) {
    pending_.erase(ticket);
    compute_time_ += compute_time;
  }

  // Works after dispose(), too: the run is still pending.
  Napi::Value cancel(const Napi::CallbackInfo& info);

  // Pending runs keep what they need, so the memory is freed with the last of them.
  Napi::Value dispose(const Napi::CallbackInfo& info) {
    release(info.Env());
    return info.Env().Undefined();
  }

 private:
  // Callers copy the shared pointers, because arguments may be getters that dispose the session.
  const Made& in_use() const {
    if (made_.queue == nullptr) fail(code::kDisposed, "session has been disposed");
    return made_;
  }
  const GraphProgram& program() const { return in_use().queue->program(); }

  void release(Napi::Env env) {
    made_.queue.reset();
    Napi::MemoryManagement::AdjustExternalMemory(env, -memory_);
    memory_ = 0;
  }

  // Types of one task's outputs. The last result is cached, because computing it takes a plan of every op.
  const std::vector<TensorType>& outputs_for(const Made& made, const std::vector<Dims>& dims) {
    if (!last_ || last_->dims != dims) last_ = Outputs{dims, made.queue->program().outputs(dims)};
    return last_->types;
  }

  RunArguments arguments_of(const Napi::CallbackInfo& info, const Made& made) {
    RunArguments run = read_run(info, made.queue->program());
    run.takes_bytes = run.takes_bytes && made.bytes != nullptr;
    run.outputs = outputs_for(made, run.dims);
    return run;
  }

  struct Outputs {
    std::vector<Dims> dims;
    std::vector<TensorType> types;
  };

  Made made_;
  std::optional<Outputs> last_;
  std::unordered_map<std::size_t, std::shared_ptr<SessionRun>> pending_;  // by ticket; JavaScript thread only
  std::size_t next_ticket_ = 0;
  std::int64_t memory_ = 0;
  Milliseconds compute_time_{0};  // of settled runs
};

// From this size on, the compute thread writes into the arrays of JavaScript. Smaller results are copied, which takes
// as long: arrays that wait for their content outlive collections of young objects, so V8 would free them later.
constexpr std::size_t kLeastDirectBytes = 1 << 16;

// Keeps an object { session, results }; results are undefined if they are copied.
class SessionRun final : public AsyncRun {
 public:
  // `results` has the memory of the arrays, or is empty.
  SessionRun(std::size_t ticket, const Made& made, const RunArguments& run, std::vector<std::byte*> results)
      : ticket_(ticket), made_(made), types_(run.outputs) {
    {
      const Borrow borrow;
      for (const InputMemory& input : run.borrow_inputs(borrow)) inputs_.emplace_back(input, made.copies);
    }
    std::vector<InputMemory> inputs;
    for (const InputCopy& input : inputs_) inputs.push_back(input.memory());
    if (results.empty())
      for (const TensorType& type : types_) {
        copied_.emplace_back(made.copies, checked_mul(type.bytes(), run.count));
        results.push_back(copied_.back().data());
      }
    add_tasks(request_, run, inputs, results, made_.bytes.get());
    request_.done = [this] {
      finish(request_.failure);
      done_.set_value();
    };
  }

  void cancel() { made_.queue->cancel(request()); }

 private:
  // The request is part of the run, so a pointer to it keeps the run alive.
  std::shared_ptr<GraphRequest> request() { return {shared_from_this(), &request_}; }

  void start() override { made_.queue->submit(request()); }
  void abandon() override { cancel(); }
  void wait() override { done_.get_future().wait(); }
  // Copies go back before JavaScript hears of the result, and may start the next run: the compute thread can hold this
  // one a little longer.
  void settled(const Napi::Object& kept) override {
    inputs_.clear();
    SessionObject::Unwrap(get(kept, "session").As<Napi::Object>())->run_settled(ticket_, request_.compute_time);
  }
  Napi::Value result(const Napi::Object& kept) override {
    if (request_.cancelled) fail(code::kAborted, "run aborted");
    const Napi::Value list = get(kept, "results");
    if (!list.IsUndefined()) return list;
    const NewArrays results = new_arrays(kept.Env(), types_, request_.tasks.size());
    for (std::size_t i = 0; i < types_.size(); ++i)
      std::copy_n(copied_[i].data(), types_[i].bytes() * request_.tasks.size(), results.data[i]);
    copied_.clear();
    return results.list;
  }

  std::size_t ticket_;
  Made made_;
  std::vector<TensorType> types_;
  std::vector<InputCopy> inputs_;
  std::vector<PooledBuffer> copied_;
  GraphRequest request_;
  std::promise<void> done_;
};

Napi::Value SessionObject::run(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    const Made made = in_use();
    const RunArguments arguments = arguments_of(info, made);
    const std::size_t ticket = next_ticket_++;
    std::size_t bytes = 0;
    for (const TensorType& output : arguments.outputs)
      bytes = checked_add(bytes, checked_mul(arguments.count, output.bytes()));
    NewArrays results;
    Napi::Value list = env.Undefined();
    if (bytes >= kLeastDirectBytes) list = (results = new_arrays(env, arguments.outputs, arguments.count)).list;
    const Napi::Object kept = new_object(env, {{"session", info.This()}, {"results", list}});
    const auto run = std::make_shared<SessionRun>(ticket, made, arguments, std::move(results.data));
    pending_.emplace(ticket, run);
    try {
      const Napi::Promise promise = run_async(kept, run);
      return new_object(env, {{"promise", promise}, {"ticket", Napi::Number::New(env, static_cast<double>(ticket))}});
    } catch (...) {
      pending_.erase(ticket);
      throw;
    }
  });
}

Napi::Value SessionObject::cancel(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const auto found = pending_.find(to_size(info[0], "the ticket"));
    if (found != pending_.end()) std::shared_ptr<SessionRun>(found->second)->cancel();
    return info.Env().Undefined();
  });
}

Napi::Value new_session(Napi::Env env, Made& made) {
  return environment(env).session_class.New({Napi::External<Made>::New(env, &made)});
}

std::shared_ptr<GraphQueue> queue_of(OwnedGraph& graph) {
  graph.finish();
  return std::make_shared<GraphQueue>(std::make_unique<GraphProgram>(graph.spec));
}

// Creates a session. Constants that were taken are in JavaScript's memory.
class Creation final : public MemoryRun {
 public:
  explicit Creation(OwnedGraph graph) : graph_(std::move(graph)), made_{nullptr, graph_.bytes} {}

 private:
  void compute() override {
    use_memory([&] {
      made_.queue = queue_of(graph_);
      graph_ = {};
    });
  }

  // Frees the constants at once: garbage collection could come late, and they are as large as the session.
  void settled(const Napi::Object& taken) override {
    const Napi::Array buffers = taken.As<Napi::Array>();
    for (std::uint32_t i = 0; i < buffers.Length(); ++i) get(buffers, i).As<Napi::ArrayBuffer>().Detach();
  }
  Napi::Value result(const Napi::Object& taken) override { return new_session(taken.Env(), made_); }

  OwnedGraph graph_;
  Made made_;
};

// Packs weights and plans memory on the compute thread; the promise resolves to a Session.
Napi::Value create_session(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    GivenGraph given = read_graph(object_of(info[0], "the graph"));
    return run_async(given.taken, std::make_shared<Creation>(std::move(given.graph)));
  });
}

Napi::Value create_session_sync(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    GivenGraph given = read_graph(object_of(info[0], "the graph"));
    Made made{nullptr, given.graph.bytes};
    compute_now([&] { made.queue = queue_of(given.graph); });
    return new_session(info.Env(), made);
  });
}

}  // namespace

void define_session(Napi::Env env, Napi::Object exports) {
  using Object = SessionObject;
  const Napi::Function session = Object::DefineClass(
      env, "Session",
      {Object::InstanceMethod<&Object::output_dims>("outputDims"),
       Object::InstanceMethod<&Object::takes_bytes>("takesBytes"),
       Object::InstanceMethod<&Object::memory_bytes>("memoryBytes"),
       Object::InstanceMethod<&Object::compute_time>("computeTime"), Object::InstanceMethod<&Object::run>("run"),
       Object::InstanceMethod<&Object::run_sync>("runSync"), Object::InstanceMethod<&Object::cancel>("cancel"),
       Object::InstanceMethod<&Object::dispose>("dispose")});
  environment(env).session_class = Napi::Persistent(session);
  exports.Set("createSession", Napi::Function::New<create_session>(env, "createSession"));
  exports.Set("createSessionSync", Napi::Function::New<create_session_sync>(env, "createSessionSync"));
}

}  // namespace qarepvgg::binding
