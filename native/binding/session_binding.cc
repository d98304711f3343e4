#include "binding/session_binding.h"

#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/compute_queue.h"
#include "binding/arguments.h"
#include "binding/completions.h"
#include "binding/guard.h"
#include "binding/image_arguments.h"
#include "binding/program_spec.h"
#include "binding/results.h"
#include "program/inference_queue.h"

namespace qarepvgg::binding {
namespace {

Algorithm algorithm_of(const Napi::Object& spec) {
  const std::string name = string_of(spec, "algorithm");
  if (name == "auto") return Algorithm::kAuto;
  if (name == "gemm") return Algorithm::kGemm;
  if (name == "winograd") return Algorithm::kWinograd;
  fail(code::kInvalidArg, "expected algorithm to be auto, gemm or winograd, received '", name, "'");
}

// Everything an asynchronous run touches: it outlives the JavaScript objects, and the environment if need be.
struct SessionRun {
  InferenceRequest request;
  std::shared_ptr<const ByteScale> bytes;
  ImageCopy images;
  std::vector<float> output;
  Completions::Ticket ticket = 0;

  Napi::Value result(Napi::Env env) const {
    if (request.cancelled) fail(code::kAborted, "expected the run to finish, it was aborted");
    return new_floats(env, output);
  }
};

// What a call is about; its images are borrowed.
struct Call {
  std::size_t count;
  ImageSize size;
  ImageMemory images;
  std::size_t output_elements;  // of one image
};

void add_tasks(InferenceRequest& request, const Call& call, const ImageMemory& images, const ByteScale& bytes,
               float* output) {
  request.size = call.size;
  for (const Image& image : images_in(images, call.count, bytes)) {
    request.tasks.push_back({image, output});
    output += call.output_elements;
  }
}

class SessionObject final : public Napi::ObjectWrap<SessionObject> {
 public:
  explicit SessionObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SessionObject>(info) {
    // Made by createSession only, which hands the queue over.
    if (info.Length() != 1 || !info[0].IsExternal())
      throw make_error(info.Env(), code::kInvalidArg, "expected a session to be made by createSession()");
    auto* made = info[0].As<Napi::External<Made>>().Data();
    queue_ = std::move(made->queue);
    bytes_ = made->bytes;
    memory_ = static_cast<std::int64_t>(queue_->program().memory_bytes());
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), memory_);
  }

  void Finalize(Napi::Env env) override { release(env); }

  struct Made {
    std::shared_ptr<InferenceQueue> queue;
    std::shared_ptr<const ByteScale> bytes;
  };

  Napi::Value output_dims(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      const MapShape shape = queue().program().output_shape({to_size(info[0], "height"), to_size(info[1], "width")});
      const Napi::Array dims = Napi::Array::New(info.Env(), 3);
      std::uint32_t i = 0;
      for (std::size_t dim : {shape.c, shape.h, shape.w}) dims.Set(i++, static_cast<double>(dim));
      return dims;
    });
  }

  Napi::Value memory_bytes(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      return Napi::Number::New(info.Env(), static_cast<double>(queue().program().memory_bytes()));
    });
  }

  Napi::Value run_sync(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      const Call call = call_of(info);
      Napi::Float32Array output = new_floats(info.Env(), checked_mul(call.count, call.output_elements));
      InferenceRequest request;
      add_tasks(request, call, call.images, *bytes_, output.Data());
      queue().run_now(request);
      return output;
    });
  }

  // Returns { promise, ticket }.
  Napi::Value run(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    return guard(env, [&]() -> Napi::Value {
      const Call call = call_of(info);
      auto run = std::make_shared<SessionRun>();
      run->bytes = bytes_;
      run->images = ImageCopy(call.images);
      run->output.resize(checked_mul(call.count, call.output_elements));
      add_tasks(run->request, call, run->images.memory(), *bytes_, run->output.data());

      const Napi::Promise::Deferred deferred(env);
      const std::shared_ptr<Completions> completions = environment(env).completions;
      const auto self = std::make_shared<Napi::ObjectReference>(Napi::Persistent(info.This().As<Napi::Object>()));
      // The request is part of the run and keeps it alive.
      const std::shared_ptr<InferenceRequest> request(run, &run->request);
      const Completions::Ticket ticket = completions->expect(
          env,
          [this, self, deferred, run](Napi::Env later) {
            under_way_.erase(run->ticket);
            settle(later, deferred, run->request.failure, [&] { return run->result(later); });
          },
          [queue = queue_, request] { queue->cancel(request); });
      run->ticket = ticket;
      run->request.done = [completions, ticket] { completions->deliver(ticket); };
      under_way_.emplace(ticket, UnderWay{queue_, request});
      queue_->submit(request);

      const Napi::Object result = Napi::Object::New(env);
      result.Set("promise", deferred.Promise());
      result.Set("ticket", static_cast<double>(ticket));
      return result;
    });
  }

  // Works after dispose() too: the run is under way all the same.
  Napi::Value cancel(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      const auto found = under_way_.find(to_size(info[0], "the ticket"));
      if (found != under_way_.end()) {
        const UnderWay run = found->second;
        run.queue->cancel(run.request);
      }
      return info.Env().Undefined();
    });
  }

  // Runs under way keep what they need; the memory goes with the last of them.
  Napi::Value dispose(const Napi::CallbackInfo& info) {
    release(info.Env());
    return info.Env().Undefined();
  }

 private:
  InferenceQueue& queue() const {
    if (queue_ == nullptr) fail(code::kDisposed, "expected a session in use, received one that was disposed");
    return *queue_;
  }

  void release(Napi::Env env) {
    queue_.reset();
    Napi::MemoryManagement::AdjustExternalMemory(env, -memory_);
    memory_ = 0;
  }

  // Arguments: images, count, height, width.
  Call call_of(const Napi::CallbackInfo& info) const {
    const InferenceProgram& program = queue().program();
    Call call{to_size(info[1], "count"), {to_size(info[2], "height"), to_size(info[3], "width")}, {}, 0};
    const std::size_t elements = checked_product({call.count, program.input_shape().c, call.size.h, call.size.w});
    call.images = image_memory_of(info[0], elements);
    if (call.images.bytes != nullptr && !program.takes_bytes())
      fail(code::kDtype, "expected a Float32Array: bytes are for networks of at most ", StemConvolution::kMaxChannels,
           " input channels, received bytes");
    call.output_elements = program.output_shape(call.size).elements();
    return call;
  }

  struct UnderWay {
    std::shared_ptr<InferenceQueue> queue;
    std::shared_ptr<InferenceRequest> request;
  };

  std::shared_ptr<InferenceQueue> queue_;
  std::shared_ptr<const ByteScale> bytes_;
  std::unordered_map<Completions::Ticket, UnderWay> under_way_;  // JavaScript thread only
  std::int64_t memory_ = 0;
};

// A session in the making. Its weights are the caller's memory, and that is gone when the environment is.
class Creation {
 public:
  Creation(const Napi::Object& object, const Napi::Value& state)
      : spec_(read_program_spec(object)),
        algorithm_(algorithm_of(object)),
        state_(floats_of(state, "state", spec_.state_length).data),
        made_{nullptr, std::make_shared<ByteScale>(byte_scale_of(object, spec_.c))} {}

  // On the compute thread.
  void pack() noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (abandoned_) return;
    try {
      made_.queue = std::make_shared<InferenceQueue>(std::make_unique<InferenceProgram>(spec_, state_, algorithm_));
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

  // No longer reads the weights when it returns; waits for that while they are being packed.
  void abandon() {
    const std::lock_guard<std::mutex> lock(mutex_);
    abandoned_ = true;
  }

  void settle(Napi::Env env, const Napi::Promise::Deferred& deferred) {
    binding::settle(env, deferred, failure_, [&] {
      return environment(env).session_class.New({Napi::External<SessionObject::Made>::New(env, &made_)});
    });
  }

 private:
  ProgramSpec spec_;
  Algorithm algorithm_;
  std::mutex mutex_;  // held while the weights are read
  bool abandoned_ = false;
  const float* state_;
  SessionObject::Made made_;
  std::exception_ptr failure_;
};

// Packs weights on the compute thread; the promise resolves to a Session. Garbage collection could take its time to
// find the memory of the weights, which is as large as the session: it goes at once.
Napi::Value create_session(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    const auto creation = std::make_shared<Creation>(object_of(info[0], "the session"), info[1]);
    const auto state = std::make_shared<Napi::ObjectReference>(Napi::Persistent(info[1].As<Napi::Object>()));
    const Napi::Promise::Deferred deferred(env);
    const std::shared_ptr<Completions> completions = environment(env).completions;
    const Completions::Ticket ticket = completions->expect(
        env,
        [deferred, creation, state](Napi::Env later) {
          state->Value().As<Napi::TypedArray>().ArrayBuffer().Detach();
          creation->settle(later, deferred);
        },
        [creation] { creation->abandon(); });
    compute_later([creation, completions, ticket] {
      creation->pack();
      completions->deliver(ticket);
    });
    return deferred.Promise();
  });
}

}  // namespace

void define_session(Napi::Env env, Napi::Object exports) {
  using Object = SessionObject;
  const Napi::Function session = Object::DefineClass(
      env, "Session",
      {Object::InstanceMethod<&Object::output_dims>("outputDims"),
       Object::InstanceMethod<&Object::memory_bytes>("memoryBytes"), Object::InstanceMethod<&Object::run>("run"),
       Object::InstanceMethod<&Object::run_sync>("runSync"), Object::InstanceMethod<&Object::cancel>("cancel"),
       Object::InstanceMethod<&Object::dispose>("dispose")});
  environment(env).session_class = Napi::Persistent(session);
  exports.Set("createSession", Napi::Function::New<create_session>(env, "createSession"));
}

}  // namespace qarepvgg::binding
