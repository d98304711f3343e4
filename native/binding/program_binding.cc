#include "binding/program_binding.h"

#include <memory>
#include <vector>

#include "base/compute_queue.h"
#include "binding/arguments.h"
#include "binding/async.h"
#include "binding/guard.h"
#include "binding/program_spec.h"
#include "binding/results.h"
#include "program/train/program.h"

namespace qarepvgg::binding {
namespace {

class ForwardRun;

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
      const Borrow borrow;
      const float* const input = input_of(borrow, info[0]);
      float* const state = state_of(borrow, info[1]);
      float* const result = borrow.floats(output, "output", program_->output_shape().elements());
      compute([&] { program_->forward(input, state, result); });
      return output;
    });
  }

  Napi::Value forward_async(const Napi::CallbackInfo& info);
  void run_settled() { --pending_; }

  Napi::Value backward(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      const Napi::Value grad_input = output_of(info[3], program_->input_shape());
      const Borrow borrow;
      const float* const grad_output = borrow.floats(info[0], "gradOutput", program_->output_shape().elements());
      const float* const state = state_of(borrow, info[1]);
      float* const gradients = borrow.floats(info[2], "gradients", program_->spec().state_length);
      float* const result = borrow.floats(grad_input, "output", program_->input_shape().elements());
      compute([&] { program_->backward(grad_output, state, gradients, result); });
      return grad_input;
    });
  }

 private:
  float* input_of(const Borrow& borrow, const Napi::Value& value) const {
    return borrow.floats(value, "input", program_->input_shape().elements());
  }
  float* state_of(const Borrow& borrow, const Napi::Value& value) const {
    return borrow.floats(value, "state", program_->spec().state_length);
  }

  // The caller's array for a result, or a new one.
  static Napi::Value output_of(const Napi::Value& given, const MapShape& shape) {
    return given.IsUndefined() ? new_floats(given.Env(), shape.elements()) : given;
  }

  // Runs small work on this thread, unless a run of the same program is pending: both would use its arena.
  template <class Run>
  void compute(const Run& run) {
    if (program_->serial() && pending_ == 0)
      run();
    else
      compute_now(run);
  }

  std::shared_ptr<Program> program_;
  std::int64_t external_bytes_ = 0;
  std::size_t pending_ = 0;  // pending asynchronous runs; JavaScript thread only
};

class ForwardRun final : public AsyncRun {
 public:
  ForwardRun(std::shared_ptr<Program> program, std::vector<float> input, std::vector<float> state)
      : program_(std::move(program)),
        input_(std::move(input)),
        state_(std::move(state)),
        output_(program_->output_shape().elements()) {}

 private:
  void compute() override { program_->forward(input_.data(), state_.data(), output_.data()); }
  void settled(const Napi::Object& object) override { ProgramObject::Unwrap(object)->run_settled(); }
  Napi::Value result(const Napi::Object& kept) override { return new_floats(kept.Env(), output_); }

  std::shared_ptr<Program> program_;
  std::vector<float> input_, state_, output_;
};

Napi::Value ProgramObject::forward_async(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    if (program_->spec().training)
      fail(code::kInvalidState, "expected a program in evaluation mode for an asynchronous run");
    const auto run =
        std::make_shared<ForwardRun>(program_, copy_of<float>(info[0], "input", program_->input_shape().elements()),
                                     copy_of<float>(info[1], "state", program_->spec().state_length));
    const Napi::Promise promise = run_async(info.This().As<Napi::Object>(), run);
    ++pending_;
    return promise;
  });
}

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
