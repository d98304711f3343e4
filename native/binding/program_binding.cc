#include "binding/program_binding.h"

#include <memory>
#include <vector>

#include "base/compute_queue.h"
#include "binding/arguments.h"
#include "binding/completions.h"
#include "binding/guard.h"
#include "binding/program_spec.h"
#include "binding/results.h"
#include "program/program.h"

namespace qarepvgg::binding {
namespace {

// Everything an asynchronous run touches: it outlives the JavaScript objects, and the environment if need be.
struct Job {
  std::shared_ptr<Program> program;
  std::vector<float> input, state, output;
  std::exception_ptr failure;
};

class ProgramObject final : public Napi::ObjectWrap<ProgramObject> {
 public:
  explicit ProgramObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ProgramObject>(info) {
    guard(info.Env(), [&] { program_ = std::make_shared<Program>(read_program_spec(info[0])); });
    external_bytes_ = static_cast<std::int64_t>(program_->memory_bytes());
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), external_bytes_);
  }

  void Finalize(Napi::Env env) override { Napi::MemoryManagement::AdjustExternalMemory(env, -external_bytes_); }

  Napi::Value output_dims(const Napi::CallbackInfo& info) {
    const MapShape& shape = program_->output_shape();
    const Napi::Array dims = Napi::Array::New(info.Env(), 4);
    std::uint32_t i = 0;
    for (std::size_t dim : {shape.n, shape.c, shape.h, shape.w}) dims.Set(i++, static_cast<double>(dim));
    return dims;
  }

  Napi::Value memory_bytes(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(program_->memory_bytes()));
  }

  Napi::Value forward(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      const Napi::Value output = output_of(info[2], program_->output_shape());
      const Floats input = input_of(info[0]), state = state_of(info[1]), result = floats_of(output, "output");
      compute([&] { program_->forward(input.data, state.data, result.data); });
      return output;
    });
  }

  Napi::Value forward_async(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    return guard(env, [&]() -> Napi::Value {
      if (program_->spec().training)
        fail(code::kInvalidState, "expected a program in evaluation mode for an asynchronous run");
      const Floats input = input_of(info[0]), state = state_of(info[1]);
      auto job = std::make_shared<Job>();
      job->program = program_;
      job->input.assign(input.data, input.data + input.size);
      job->state.assign(state.data, state.data + state.size);
      job->output.resize(program_->output_shape().elements());

      const Napi::Promise::Deferred deferred(env);
      // The reference keeps this object, and with it pending_, alive until the answer is back.
      const auto self = std::make_shared<Napi::ObjectReference>(Napi::Persistent(info.This().As<Napi::Object>()));
      const std::shared_ptr<Completions> completions = environment(env).completions;
      const Completions::Ticket ticket = completions->expect(env, [this, self, deferred, job](Napi::Env later) {
        --pending_;
        settle(later, deferred, job->failure, [&] { return new_floats(later, job->output); });
      });
      ++pending_;
      compute_later([job, completions, ticket] {
        try {
          job->program->forward(job->input.data(), job->state.data(), job->output.data());
        } catch (...) {
          job->failure = std::current_exception();
        }
        completions->deliver(ticket);
      });
      return deferred.Promise();
    });
  }

  Napi::Value backward(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      const Napi::Value grad_input = output_of(info[3], program_->input_shape());
      const Floats grad_output = floats_of(info[0], "gradOutput", program_->output_shape().elements());
      const Floats state = state_of(info[1]);
      const Floats gradients = floats_of(info[2], "gradients", program_->spec().state_length);
      const Floats result = floats_of(grad_input, "output");
      compute([&] { program_->backward(grad_output.data, state.data, gradients.data, result.data); });
      return grad_input;
    });
  }

 private:
  Floats input_of(const Napi::Value& value) const {
    return floats_of(value, "input", program_->input_shape().elements());
  }
  Floats state_of(const Napi::Value& value) const { return floats_of(value, "state", program_->spec().state_length); }

  // Where a result goes: the caller's array, or a new one.
  static Napi::Value output_of(const Napi::Value& given, const MapShape& shape) {
    if (given.IsUndefined()) return new_floats(given.Env(), shape.elements());
    floats_of(given, "output", shape.elements());
    return given;
  }

  // Small runs stay on this thread, unless one of the same program is waiting: they share its arena.
  template <class Run>
  void compute(const Run& run) {
    if (program_->serial() && pending_ == 0)
      run();
    else
      compute_now(run);
  }

  std::shared_ptr<Program> program_;
  std::int64_t external_bytes_ = 0;
  std::size_t pending_ = 0;  // asynchronous runs under way; JavaScript thread only
};

}  // namespace

void define_program(Napi::Env env, Napi::Object exports) {
  using Object = ProgramObject;
  exports.Set("Program", Object::DefineClass(env, "Program",
                                             {Object::InstanceAccessor<&Object::output_dims>("outputDims"),
                                              Object::InstanceAccessor<&Object::memory_bytes>("memoryBytes"),
                                              Object::InstanceMethod<&Object::forward>("forward"),
                                              Object::InstanceMethod<&Object::forward_async>("forwardAsync"),
                                              Object::InstanceMethod<&Object::backward>("backward")}));
}

}  // namespace qarepvgg::binding
