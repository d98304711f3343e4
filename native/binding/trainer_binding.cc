#include "binding/trainer_binding.h"

#include <algorithm>
#include <memory>

#include "base/compute_queue.h"
#include "binding/arguments.h"
#include "binding/async.h"
#include "binding/guard.h"
#include "binding/image_arguments.h"
#include "binding/program_spec.h"
#include "binding/results.h"
#include "program/train/trainer.h"

namespace qarepvgg::binding {
namespace {

std::vector<StateRange> read_ranges(const Napi::Object& object, const char* name) {
  std::vector<StateRange> ranges;
  for_each(object, name, [&](const Napi::Value& value) {
    const Napi::Object range = object_of(value, name);
    ranges.push_back({size_of(range, "offset"), size_of(range, "length")});
  });
  return ranges;
}

std::vector<CustomL2Block> read_custom_l2(const Napi::Object& object) {
  std::vector<CustomL2Block> blocks;
  for_each(object, "customL2", [&](const Napi::Value& value) {
    const Napi::Object block = object_of(value, "customL2");
    blocks.push_back({size_of(block, "outChannels"), size_of(block, "depth"), number_of(block, "eps"),
                      size_of(block, "weight3x3"), size_of(block, "gamma3x3"), size_of(block, "var3x3"),
                      size_of(block, "weight1x1"), size_of(block, "gamma1x1"), size_of(block, "var1x1")});
  });
  return blocks;
}

TrainerSpec read_trainer_spec(const Napi::Value& value) {
  const Napi::Object object = object_of(value, "the trainer");
  TrainerSpec spec;
  spec.program = read_program_spec(value);
  spec.program.training = spec.program.gradients = true;
  const std::string optimizer = string_of(object, "optimizer");
  if (optimizer != "sgd" && optimizer != "adamw")
    fail(code::kInvalidArg, "expected optimizer to be sgd or adamw, received '", optimizer, "'");
  spec.optimizer = optimizer == "sgd" ? OptimizerKind::kSgd : OptimizerKind::kAdamW;
  spec.momentum = number_of(object, "momentum");
  spec.nesterov = flag_of(object, "nesterov");
  spec.beta2 = number_of(object, "beta2");
  spec.epsilon = number_of(object, "epsilon");
  spec.label_smoothing = number_of(object, "labelSmoothing");
  spec.clip_norm = number_of(object, "clipNorm");
  spec.parameters = read_ranges(object, "parameters");
  spec.decayed = read_ranges(object, "decayed");
  spec.custom_l2 = read_custom_l2(object);
  return spec;
}

// Input of one step.
struct StepInput {
  ByteScale bytes;
  ImageCopy images;
  std::vector<std::int32_t> labels;
  std::vector<Augmentation> augment;
  double learning_rate, weight_decay;
};

class TrainerObject final : public Napi::ObjectWrap<TrainerObject> {
 public:
  explicit TrainerObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TrainerObject>(info) {
    guard(info.Env(), [&] {
      const TrainerSpec spec = read_trainer_spec(info[0]);
      const Dims& dims = spec.program.input;
      bytes_ = byte_scale_of(info[0].As<Napi::Object>(), dims.size() < 2 ? 0 : dims[1]);
      const Borrow borrow;
      trainer_ = std::make_shared<Trainer>(spec, borrow.floats(info[1], "state", spec.program.state_length));
    });
    memory_ = static_cast<std::int64_t>(trainer_->memory_bytes());
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), memory_);
  }

  void Finalize(Napi::Env env) override { Napi::MemoryManagement::AdjustExternalMemory(env, -memory_); }

  Napi::Value optimizer_length(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(trainer_->optimizer_state().size()));
  }
  Napi::Value memory_bytes(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(memory_));
  }
  Napi::Value step_count(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(trainer_->step_count()));
  }
  void set_step_count(const Napi::CallbackInfo& info, const Napi::Value& value) {
    guard(info.Env(), [&] { idle().set_step_count(to_size(value, "stepCount")); });
  }

  Napi::Value step(const Napi::CallbackInfo& info);
  void step_settled() { --pending_; }

  Napi::Value read_state(const Napi::CallbackInfo& info) { return read(info, idle(info).state()); }
  Napi::Value write_state(const Napi::CallbackInfo& info) { return write(info, idle(info).state()); }
  Napi::Value read_optimizer(const Napi::CallbackInfo& info) { return read(info, idle(info).optimizer_state()); }
  Napi::Value write_optimizer(const Napi::CallbackInfo& info) { return write(info, idle(info).optimizer_state()); }

 private:
  // State and optimiser belong to the compute thread while a step is pending.
  Trainer& idle() const {
    if (pending_ > 0) fail(code::kBusy, "expected no pending step, ", pending_, " are pending: await them first");
    trainer_->require_whole();
    return *trainer_;
  }
  Trainer& idle(const Napi::CallbackInfo& info) const {
    return guard(info.Env(), [&]() -> Trainer& { return idle(); });
  }

  static Napi::Value read(const Napi::CallbackInfo& info, const std::vector<float>& from) {
    return guard(info.Env(), [&]() -> Napi::Value {
      const Borrow borrow;
      std::copy(from.begin(), from.end(), borrow.floats(info[0], "the array", from.size()));
      return info.Env().Undefined();
    });
  }
  static Napi::Value write(const Napi::CallbackInfo& info, std::vector<float>& to) {
    return guard(info.Env(), [&]() -> Napi::Value {
      const Borrow borrow;
      std::copy_n(borrow.floats(info[0], "the array", to.size()), to.size(), to.begin());
      return info.Env().Undefined();
    });
  }

  // Checks a copy, because other threads may write to shared memory.
  std::vector<std::int32_t> labels_of(const Napi::Value& value) const {
    std::vector<std::int32_t> labels = copy_of<std::int32_t>(value, "labels", trainer_->images());
    for (std::size_t i = 0; i < labels.size(); ++i)
      if (labels[i] < 0 || static_cast<std::size_t>(labels[i]) >= trainer_->classes())
        fail(code::kInvalidArg, "expected labels from 0 to ", trainer_->classes() - 1, ", received ", labels[i],
             " at position ", i);
    return labels;
  }

  std::vector<Augmentation> augmentation_of(const Napi::Value& value) const {
    if (value.IsUndefined()) return {};
    const std::size_t count = trainer_->images();
    const Borrow borrow;
    const std::int16_t* numbers = borrow.array<std::int16_t>(value, "augment", 3 * count);
    std::vector<Augmentation> result;
    for (std::size_t i = 0; i < count; ++i) result.push_back({numbers[3 * i], numbers[3 * i + 1], numbers[3 * i + 2]});
    return result;
  }

  ImageCopy images_of(const Napi::Value& value) const {
    const Borrow borrow;
    return ImageCopy(image_memory_of(borrow, value, trainer_->input_shape().elements()));
  }

  std::shared_ptr<Trainer> trainer_;
  ByteScale bytes_;
  std::int64_t memory_ = 0;
  std::size_t pending_ = 0;  // pending steps; JavaScript thread only
};

class StepRun final : public AsyncRun {
 public:
  StepRun(std::shared_ptr<Trainer> trainer, StepInput input) : trainer_(std::move(trainer)), input_(std::move(input)) {}

 private:
  void compute() override {
    Batch batch{images_in(input_.images.memory(), input_.labels.size(), input_.bytes), input_.labels.data(), nullptr};
    if (!input_.augment.empty()) batch.augment = input_.augment.data();
    result_ = trainer_->step(batch, input_.learning_rate, input_.weight_decay);
  }
  void settled(const Napi::Object& object) override { TrainerObject::Unwrap(object)->step_settled(); }
  Napi::Value result(const Napi::Object& kept) override {
    const Napi::Env env = kept.Env();
    return new_object(env, {{"loss", Napi::Number::New(env, result_.loss)},
                            {"correct", Napi::Number::New(env, static_cast<double>(result_.correct))}});
  }

  std::shared_ptr<Trainer> trainer_;
  StepInput input_;
  LossResult result_{};
};

Napi::Value TrainerObject::step(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const auto run = std::make_shared<StepRun>(
        trainer_, StepInput{bytes_, images_of(info[0]), labels_of(info[1]), augmentation_of(info[2]),
                            to_number(info[3], "learningRate"), to_number(info[4], "weightDecay")});
    const Napi::Promise promise = run_async(info.This().As<Napi::Object>(), run);
    ++pending_;
    return promise;
  });
}

}  // namespace

void define_trainer(Napi::Env env, Napi::Object exports) {
  using Object = TrainerObject;
  exports.Set("Trainer",
              Object::DefineClass(env, "Trainer",
                                  {Object::InstanceAccessor<&Object::optimizer_length>("optimizerLength"),
                                   Object::InstanceAccessor<&Object::memory_bytes>("memoryBytes"),
                                   Object::InstanceAccessor<&Object::step_count, &Object::set_step_count>("stepCount"),
                                   Object::InstanceMethod<&Object::step>("step"),
                                   Object::InstanceMethod<&Object::read_state>("readState"),
                                   Object::InstanceMethod<&Object::write_state>("writeState"),
                                   Object::InstanceMethod<&Object::read_optimizer>("readOptimizer"),
                                   Object::InstanceMethod<&Object::write_optimizer>("writeOptimizer")}));
}

}  // namespace qarepvgg::binding
