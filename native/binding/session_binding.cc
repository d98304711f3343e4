#include "binding/session_binding.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "base/compute_queue.h"
#include "binding/arguments.h"
#include "binding/completions.h"
#include "binding/guard.h"
#include "binding/program_spec.h"
#include "binding/results.h"
#include "program/inference_queue.h"

namespace qarepvgg::binding {
namespace {

constexpr std::size_t kMaxChannels = StemConvolution::kMaxChannels;

Algorithm algorithm_of(const Napi::Object& spec) {
  const std::string name = string_of(spec, "algorithm");
  if (name == "auto") return Algorithm::kAuto;
  if (name == "gemm") return Algorithm::kGemm;
  if (name == "winograd") return Algorithm::kWinograd;
  fail(code::kInvalidArg, "expected algorithm to be auto, gemm or winograd, received '", name, "'");
}

// What counts as the value of a byte, per channel.
struct ByteScale {
  float scale[kMaxChannels], shift[kMaxChannels];
};

ByteScale byte_scale_of(const Napi::Object& spec) {
  ByteScale result{};
  std::fill_n(result.scale, kMaxChannels, 1.0f);
  const auto read = [&](const char* name, float* to) {
    const Napi::Value value = spec.Get(name);
    if (value.IsUndefined()) return;
    const Floats floats = floats_of(value, name);
    std::copy_n(floats.data, std::min(floats.size, kMaxChannels), to);
  };
  read("byteScale", result.scale);
  read("byteShift", result.shift);
  return result;
}

// Everything an asynchronous run touches: it outlives the JavaScript objects, and the environment if need be.
struct SessionRun {
  InferenceRequest request;
  std::vector<float> floats, output;
  std::vector<std::uint8_t> bytes;

  Napi::Value result(Napi::Env env) const {
    if (request.cancelled) fail(code::kAborted, "expected the run to finish, it was aborted");
    return new_floats(env, output);
  }
};

// What the images of a call are, before they are copied or borrowed.
struct Images {
  std::size_t count;
  ImageSize size;
  const float* floats = nullptr;
  const std::uint8_t* bytes = nullptr;
  std::size_t elements;  // of all images
};

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
    ByteScale bytes;
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
      const Images images = images_of(info);
      const std::size_t per_image = queue().program().output_shape(images.size).elements();
      Napi::Float32Array output = new_floats(info.Env(), checked_mul(images.count, per_image));
      InferenceRequest request;
      request.size = images.size;
      add_tasks(request, images, images.floats, images.bytes, output.Data(), per_image);
      queue().run_now(request);
      return output;
    });
  }

  // Returns { promise, cancel }: cancel() makes the promise reject with ERR_ABORTED, unless it is settled.
  Napi::Value run(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    return guard(env, [&]() -> Napi::Value {
      const Images images = images_of(info);
      const std::size_t per_image = queue().program().output_shape(images.size).elements();
      auto run = std::make_shared<SessionRun>();
      run->output.resize(checked_mul(images.count, per_image));
      if (images.floats != nullptr)
        run->floats.assign(images.floats, images.floats + images.elements);
      else
        run->bytes.assign(images.bytes, images.bytes + images.elements);
      run->request.size = images.size;
      add_tasks(run->request, images, images.floats != nullptr ? run->floats.data() : nullptr, run->bytes.data(),
                run->output.data(), per_image);

      const Napi::Promise::Deferred deferred(env);
      const std::shared_ptr<Completions> completions = environment(env).completions;
      const Completions::Ticket ticket =
          completions->expect(env, [deferred, run](Napi::Env later) {
            settle(later, deferred, run->request.failure, [&] { return run->result(later); });
          });
      run->request.done = [completions, ticket] { completions->deliver(ticket); };
      // The request is part of the run and keeps it alive.
      const std::shared_ptr<InferenceRequest> request(run, &run->request);
      queue_->submit(request);

      const Napi::Object result = Napi::Object::New(env);
      result.Set("promise", deferred.Promise());
      result.Set("cancel", Napi::Function::New(env, [queue = queue_, request](const Napi::CallbackInfo&) {
                   queue->cancel(request);
                 }));
      return result;
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

  // Arguments: data, count, height, width.
  Images images_of(const Napi::CallbackInfo& info) const {
    const InferenceProgram& program = queue().program();
    Images images{to_size(info[1], "count"), {to_size(info[2], "height"), to_size(info[3], "width")}, nullptr, nullptr, 0};
    images.elements = checked_product({images.count, program.input_shape().c, images.size.h, images.size.w});
    if (info[0].IsTypedArray() && info[0].As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array) {
      if (!program.takes_bytes())
        fail(code::kDtype, "expected a Float32Array: bytes are for networks of at most ", kMaxChannels,
             " input channels");
      images.bytes = bytes_of(info[0], "input", images.elements);
    } else {
      images.floats = floats_of(info[0], "input", images.elements).data;
    }
    return images;
  }

  void add_tasks(InferenceRequest& request, const Images& images, const float* floats, const std::uint8_t* bytes,
                 float* output, std::size_t output_elements) const {
    const std::size_t elements = images.count == 0 ? 0 : images.elements / images.count;
    for (std::size_t i = 0; i < images.count; ++i) {
      Image image;
      if (floats != nullptr)
        image.floats = floats + i * elements;
      else
        image = {nullptr, bytes + i * elements, bytes_.scale, bytes_.shift};
      request.tasks.push_back({image, output + i * output_elements});
    }
  }

  std::shared_ptr<InferenceQueue> queue_;
  ByteScale bytes_{};
  std::int64_t memory_ = 0;
};

// Packs weights on the compute thread; the promise resolves to a Session.
Napi::Value create_session(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    struct Creation {
      ProgramSpec spec;
      Algorithm algorithm;
      std::vector<float> state;
      SessionObject::Made made;
      std::exception_ptr failure;
    };
    const Napi::Object object = object_of(info[0], "the session");
    auto creation = std::make_shared<Creation>();
    creation->spec = read_program_spec(object);
    creation->algorithm = algorithm_of(object);
    creation->made.bytes = byte_scale_of(object);
    const Floats state = floats_of(info[1], "state", creation->spec.state_length);
    creation->state.assign(state.data, state.data + state.size);

    const Napi::Promise::Deferred deferred(env);
    const std::shared_ptr<Completions> completions = environment(env).completions;
    const Completions::Ticket ticket = completions->expect(env, [deferred, creation](Napi::Env later) {
      settle(later, deferred, creation->failure, [&] {
        return environment(later).session_class.New(
            {Napi::External<SessionObject::Made>::New(later, &creation->made)});
      });
    });
    compute_later([creation, completions, ticket] {
      try {
        creation->made.queue = std::make_shared<InferenceQueue>(
            std::make_unique<InferenceProgram>(creation->spec, creation->state.data(), creation->algorithm));
      } catch (...) {
        creation->failure = std::current_exception();
      }
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
       Object::InstanceMethod<&Object::run_sync>("runSync"), Object::InstanceMethod<&Object::dispose>("dispose")});
  environment(env).session_class = Napi::Persistent(session);
  exports.Set("createSession", Napi::Function::New<create_session>(env, "createSession"));
}

}  // namespace qarepvgg::binding
