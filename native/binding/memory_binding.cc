#include "binding/memory_binding.h"

#include <vector>

#include "base/arena.h"
#include "binding/arguments.h"
#include "binding/async.h"
#include "binding/guard.h"
#include "ops/settle.h"

namespace qarepvgg::binding {
namespace {

Napi::Value advise(const Napi::CallbackInfo& info) {
  const Borrow borrow;
  const auto memory = borrow.buffer(info[0]);
  return Napi::Number::New(info.Env(), static_cast<double>(advise_huge_pages(memory.data, memory.size)));
}

// A buffer that cannot be detached is left alone.
Napi::Value release(const Napi::CallbackInfo& info) {
  if (info[0].IsArrayBuffer()) napi_detach_arraybuffer(info.Env(), info[0]);
  return info.Env().Undefined();
}

// Floats in the memory of an ArrayBuffer, which lives until the run is settled.
class Settling final : public MemoryRun {
 public:
  struct Tensor {
    const std::byte* from;
    float* to;
    std::size_t count;
  };
  explicit Settling(std::vector<Tensor> tensors) : tensors_(std::move(tensors)) {}

 private:
  void compute() override {
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      const Tensor& tensor = tensors_[i];
      const bool goes_on = use_memory([&] {
        if (!settle(tensor.from, tensor.count, tensor.to)) odd_.push_back(i);
      });
      if (!goes_on) return;
    }
  }
  void settled(const Napi::Object&) override {}
  Napi::Value result(const Napi::Object& kept) override {
    const Napi::Env env = kept.Env();
    const Napi::Array list = Napi::Array::New(env, odd_.size());
    for (std::uint32_t i = 0; i < odd_.size(); ++i) list.Set(i, Napi::Number::New(env, static_cast<double>(odd_[i])));
    return list;
  }

  std::vector<Tensor> tensors_;
  std::vector<std::size_t> odd_;
};

Napi::Value settle_floats(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const Napi::Object buffer = object_of(info[0], "the buffer");
    const std::vector<double> places = copy_of<double>(info[1], "places");
    std::vector<Settling::Tensor> tensors;
    {
      const Borrow borrow;
      const Span<std::byte> memory = borrow.buffer(buffer);
      for (std::size_t i = 0; i + 1 < places.size(); i += 2) {
        const auto from = static_cast<std::size_t>(places[i]), count = static_cast<std::size_t>(places[i + 1]);
        if (from > memory.size || (memory.size - from) / sizeof(float) < count)
          fail(code::kInvalidArg, "expected floats in the buffer");
        std::byte* const to = memory.data + from / sizeof(float) * sizeof(float);
        tensors.push_back({memory.data + from, reinterpret_cast<float*>(to), count});
      }
    }
    return run_async(buffer, std::make_shared<Settling>(std::move(tensors)));
  });
}

}  // namespace

void define_memory(Napi::Env env, Napi::Object exports) {
  exports.Set("adviseHugePages", Napi::Function::New<advise>(env, "adviseHugePages"));
  exports.Set("releaseMemory", Napi::Function::New<release>(env, "releaseMemory"));
  exports.Set("settleFloats", Napi::Function::New<settle_floats>(env, "settleFloats"));
}

}  // namespace qarepvgg::binding
