#include "binding/early_binding.h"

#include <utility>

#include "binding/arguments.h"
#include "binding/async.h"
#include "binding/graph_spec.h"
#include "binding/guard.h"
#include "binding/results.h"

namespace qarepvgg::binding {
namespace {

using Handle = std::shared_ptr<EarlyWeights>;

// Reads weights where JavaScript has them, in arrays that live until the run is settled.
class EarlyPacking final : public MemoryRun {
 public:
  EarlyPacking(GraphSpec spec, Handle weights) : spec_(std::move(spec)), weights_(std::move(weights)) {}

 private:
  void compute() override {
    use_memory([&] { weights_->pack(spec_); });
  }
  void settled(const Napi::Object&) override {}
  Napi::Value result(const Napi::Object& arrays) override { return arrays.Env().Undefined(); }

  GraphSpec spec_;
  Handle weights_;
};

// Returns { packed, arrays, done }. Weights are known by their address, so nothing else may lie there while JavaScript
// has the object.
Napi::Value pack_early(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    LentGraph given = read_lent_graph(object_of(info[0], "the graph"));
    auto handle = std::make_unique<Handle>(std::make_shared<EarlyWeights>());
    const auto run = std::make_shared<EarlyPacking>(std::move(given.spec), *handle);
    const Napi::Value packed =
        Napi::External<Handle>::New(env, handle.get(), [](Napi::Env, Handle* owned) { delete owned; });
    handle.release();
    // Last: if something failed after it, nobody would have its promise.
    const Napi::Promise done = run_async(given.arrays, run);
    return new_object(env, {{"packed", packed}, {"arrays", given.arrays}, {"done", done}});
  });
}

}  // namespace

std::shared_ptr<EarlyWeights> take_early_weights(const Napi::Value& value) {
  if (value.IsUndefined()) return nullptr;
  const Napi::Value packed = get(object_of(value, "early weights"), "packed");
  if (!packed.IsExternal()) fail(code::kInvalidArg, "expected early weights to be made by packEarly()");
  return std::move(*packed.As<Napi::External<Handle>>().Data());
}

void define_early(Napi::Env env, Napi::Object exports) {
  exports.Set("packEarly", Napi::Function::New<pack_early>(env, "packEarly"));
}

}  // namespace qarepvgg::binding
