#include "binding/fuse_binding.h"

#include <optional>
#include <string>
#include <vector>

#include "base/checked.h"
#include "binding/arguments.h"
#include "binding/guard.h"
#include "binding/results.h"
#include "ops/fusion.h"

namespace qarepvgg::binding {
namespace {

struct Channels {
  std::size_t in, out, groups;
};

// The arguments. All are read before any memory is borrowed.
struct Norm {
  Napi::Value weight, bias, mean, var;
  double eps;
};

struct Branch {
  std::string kind;
  std::size_t kernel = 0;
  Napi::Value weight, bias;
  double scale = 1;
  std::optional<Norm> norm;
};

std::optional<Norm> read_norm(const Napi::Object& owner, const char* name) {
  const Napi::Value value = get(owner, name);
  if (value.IsUndefined()) return std::nullopt;
  const Napi::Object norm = object_of(value, name);
  return Norm{get(norm, "weight"), get(norm, "bias"), get(norm, "runningMean"), get(norm, "runningVar"),
              number_of(norm, "eps")};
}

Branch read_branch(const Napi::Object& object) {
  Branch branch;
  branch.norm = read_norm(object, "batchNorm");
  branch.kind = string_of(object, "kind");
  if (branch.kind == "identity" || branch.kind == "average") return branch;
  if (branch.kind != "conv")
    fail(code::kInvalidArg, "expected kind to be conv, identity or average, received '", branch.kind, "'");
  branch.kernel = size_of(object, "kernel");
  if (branch.kernel != 1 && branch.kernel != 3)
    fail(code::kInvalidArg, "expected kernel to be 1 or 3, received ", branch.kernel);
  branch.weight = get(object, "weight");
  branch.bias = get(object, "bias");
  branch.scale = number_of(object, "scale", 1.0);
  return branch;
}

std::optional<FoldedBatchNorm> borrow_norm(const Borrow& borrow, const std::optional<Norm>& norm,
                                           std::size_t channels) {
  if (!norm) return std::nullopt;
  return FoldedBatchNorm{borrow.floats(norm->weight, "weight", channels), borrow.floats(norm->bias, "bias", channels),
                         borrow.floats(norm->mean, "runningMean", channels),
                         borrow.floats(norm->var, "runningVar", channels), norm->eps};
}

void add_branch(Fusion& fusion, const Borrow& borrow, const Branch& branch, const Channels& channels) {
  const auto norm = borrow_norm(borrow, branch.norm, channels.out);
  const FoldedBatchNorm* const folded = norm ? &*norm : nullptr;
  if (branch.kind == "identity") return fusion.add_identity(folded);
  if (branch.kind == "average") return fusion.add_average(folded);
  const std::size_t elements =
      checked_product({channels.out, channels.in / channels.groups, branch.kernel, branch.kernel});
  const float* const weight = borrow.floats(branch.weight, "weight", elements);
  const float* const bias = branch.bias.IsUndefined() ? nullptr : borrow.floats(branch.bias, "bias", channels.out);
  fusion.add_convolution(weight, branch.kernel, bias, branch.scale, folded);
}

Napi::Value fuse(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    const Napi::Object spec = object_of(info[0], "the fusion");
    const Channels channels{size_of(spec, "inChannels"), size_of(spec, "outChannels"), size_of(spec, "groups")};
    Fusion fusion(channels.in, channels.out, channels.groups);
    std::vector<Branch> branches;
    for_each(spec, "branches",
             [&](const Napi::Value& value) { branches.push_back(read_branch(object_of(value, "a branch"))); });
    const std::optional<Norm> post = read_norm(spec, "postBatchNorm");

    const Borrow borrow;
    for (const Branch& branch : branches) add_branch(fusion, borrow, branch, channels);
    if (const auto norm = borrow_norm(borrow, post, channels.out)) fusion.set_post_batch_norm(*norm);
    float* const weight = borrow.floats(info[1], "weight", fusion.weight_elements());
    fusion.fuse_into(weight, borrow.floats(info[2], "bias", channels.out));
    return env.Undefined();
  });
}

}  // namespace

void define_fuse(Napi::Env env, Napi::Object exports) { exports.Set("fuse", Napi::Function::New<fuse>(env, "fuse")); }

}  // namespace qarepvgg::binding
