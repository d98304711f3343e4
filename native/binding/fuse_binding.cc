#include "binding/fuse_binding.h"

#include <optional>

#include "binding/arguments.h"
#include "binding/guard.h"
#include "binding/results.h"
#include "ops/fusion.h"

namespace qarepvgg::binding {
namespace {

struct Channels {
  std::size_t in, out, groups;
};

FoldedBatchNorm read_norm(const Napi::Object& object, std::size_t channels) {
  const auto tensor = [&](const char* name) { return floats_of(object.Get(name), name, channels).data; };
  return {tensor("weight"), tensor("bias"), tensor("runningMean"), tensor("runningVar"), number_of(object, "eps")};
}

std::optional<FoldedBatchNorm> read_optional_norm(const Napi::Object& object, const char* name, std::size_t channels) {
  const Napi::Value value = object.Get(name);
  if (value.IsUndefined()) return std::nullopt;
  return read_norm(object_of(value, name), channels);
}

void add_branch(Fusion& fusion, const Napi::Object& branch, const Channels& channels) {
  const std::optional<FoldedBatchNorm> norm = read_optional_norm(branch, "batchNorm", channels.out);
  const FoldedBatchNorm* folded = norm ? &*norm : nullptr;
  const std::string kind = string_of(branch, "kind");
  if (kind == "identity") return fusion.add_identity(folded);
  if (kind == "average") return fusion.add_average(folded);
  if (kind != "conv") fail(code::kInvalidArg, "expected kind to be conv, identity or average, received '", kind, "'");

  const std::size_t kernel = size_of(branch, "kernel");
  if (kernel != 1 && kernel != 3) fail(code::kInvalidArg, "expected kernel to be 1 or 3, received ", kernel);
  const std::size_t elements = channels.out * (channels.in / channels.groups) * kernel * kernel;
  const float* weight = floats_of(branch.Get("weight"), "weight", elements).data;
  const Napi::Value bias = branch.Get("bias");
  const float* bias_data = bias.IsUndefined() ? nullptr : floats_of(bias, "bias", channels.out).data;
  const double scale = branch.Get("scale").IsUndefined() ? 1.0 : number_of(branch, "scale");
  fusion.add_convolution(weight, kernel, bias_data, scale, folded);
}

Napi::Value fuse(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    const Napi::Object spec = object_of(info[0], "the fusion");
    const Channels channels{size_of(spec, "inChannels"), size_of(spec, "outChannels"), size_of(spec, "groups")};
    Fusion fusion(channels.in, channels.out, channels.groups);
    const Napi::Array branches = array_of(spec.Get("branches"), "branches");
    for (std::uint32_t i = 0; i < branches.Length(); ++i)
      add_branch(fusion, object_of(branches.Get(i), "a branch"), channels);
    if (const auto norm = read_optional_norm(spec, "postBatchNorm", channels.out)) fusion.set_post_batch_norm(*norm);
    float* weight = floats_of(info[1], "weight", fusion.weight_elements()).data;
    fusion.fuse_into(weight, floats_of(info[2], "bias", channels.out).data);
    return env.Undefined();
  });
}

}  // namespace

void define_fuse(Napi::Env env, Napi::Object exports) { exports.Set("fuse", Napi::Function::New<fuse>(env, "fuse")); }

}  // namespace qarepvgg::binding
