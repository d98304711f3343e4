// Sum, scaling, ReLU, 3x3 average and the reductions on every instruction set against the reference.
#include "ops/elementwise.h"

#include "reference/elementwise.h"
#include "test/guarded_memory.h"
#include "test/tensors.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

Data random_data(Rng& rng) { return rng.chance(0.7) ? Data::kIntegers : Data::kSpecials; }

MapShape with_halo(const reference::Dims& dims, std::size_t halo) { return {dims.n, dims.c, dims.h, dims.w, halo}; }

// Runs the op on every instruction set into a map that holds `before` when accumulating, and compares.
// op(memory, kernels, out).
template <class Op>
void check_op(Rng& rng, const reference::Tensor& expected, double tolerance, const reference::Tensor* before,
              const Op& op) {
  for (const KernelTable* kernels : float_kernels()) {
    GuardedMemory memory(rng);
    const std::size_t halo = rng.between(0, 2);
    const FeatureMap out = before != nullptr ? memory.map(*before, halo) : memory.map(with_halo(expected.dims, halo));
    op(memory, *kernels, out);
    CHECK_VALUES(read(out).data, expected.data, tolerance, kernels->isa, ", ", expected.dims);
    CHECK(zero_border(out), kernels->isa, ", ", expected.dims);
  }
}

TEST(add) {
  test.repeat(2000, [](Rng& rng) {
    const reference::Dims dims = small_dims(rng);
    const std::size_t count = rng.between(1, kMaxSummands);
    std::vector<reference::Tensor> values;
    std::vector<const reference::Tensor*> pointers;
    const Data data = random_data(rng);
    for (std::size_t i = 0; i < count; ++i) values.push_back(random_tensor(rng, dims, data));
    for (const reference::Tensor& value : values) pointers.push_back(&value);
    const bool relu = rng.chance(0.5), in_place = rng.chance(0.3);
    reference::Tensor expected = reference::add(pointers);
    if (relu) expected = reference::relu(expected);
    const std::size_t shared = rng.between(0, count - 1);  // the operand that is also the output
    check_op(rng, expected, 0, in_place ? pointers[shared] : nullptr,
             [&](GuardedMemory& memory, const KernelTable& kernels, const FeatureMap& out) {
               std::vector<FeatureMap> maps;
               for (const reference::Tensor& value : values) maps.push_back(memory.map(value, rng.between(0, 2)));
               if (in_place) maps[shared] = out;
               const FeatureMap* operands[kMaxSummands];
               for (std::size_t i = 0; i < count; ++i) operands[i] = &maps[i];
               add_maps(operands, count, relu ? &kReluClamp : nullptr, out, kernels, 1);
             });
  });
}

TEST(scale) {
  test.repeat(2000, [](Rng& rng) {
    const Data data = random_data(rng);
    const reference::Tensor x = random_tensor(rng, small_dims(rng), data);
    const reference::Tensor before = random_tensor(rng, x.dims, data);
    const double factor = rng.integer(8);
    const bool accumulate = rng.chance(0.5);
    reference::Tensor expected = reference::scale(x, factor);
    if (accumulate) expected = reference::add({&before, &expected});
    check_op(rng, expected, 0, accumulate ? &before : nullptr,
             [&](GuardedMemory& memory, const KernelTable& kernels, const FeatureMap& out) {
               scale_map(memory.map(x, rng.between(0, 2)), static_cast<float>(factor), accumulate, out, kernels, 1);
             });
  });
}

TEST(relu_gradient) {
  test.repeat(2000, [](Rng& rng) {
    const Data data = random_data(rng);
    const reference::Tensor grad_y = random_tensor(rng, small_dims(rng), data);
    const reference::Tensor y = reference::relu(random_tensor(rng, grad_y.dims, data));
    const reference::Tensor before = random_tensor(rng, y.dims, data);
    const bool accumulate = rng.chance(0.5), in_place = !accumulate && rng.chance(0.5);
    reference::Tensor expected = reference::relu_gradient(grad_y, y);
    if (accumulate) expected = reference::add({&before, &expected});
    check_op(rng, expected, 0,
             accumulate ? &before
             : in_place ? &grad_y
                        : nullptr,
             [&](GuardedMemory& memory, const KernelTable& kernels, const FeatureMap& out) {
               const FeatureMap grad = in_place ? out : memory.map(grad_y, rng.between(0, 2));
               relu_backward(grad, memory.map(y, rng.between(0, 2)), accumulate, out, kernels, 1);
             });
  });
}

TEST(average3x3) {
  test.repeat(2000, [](Rng& rng) {
    const Data data = rng.chance(0.3) ? Data::kReals : random_data(rng);
    reference::Tensor x = random_tensor(rng, small_dims(rng), data);
    if (data != Data::kReals) x = reference::scale(x, 9);  // makes averages whole
    const reference::Tensor before = random_tensor(rng, x.dims, data);
    const bool accumulate = rng.chance(0.5);
    reference::Tensor expected = reference::average3x3(x);
    if (accumulate) expected = reference::add({&before, &expected});
    check_op(rng, expected, sum_tolerance(data, 1, 10), accumulate ? &before : nullptr,
             [&](GuardedMemory& memory, const KernelTable& kernels, const FeatureMap& out) {
               qarepvgg::average3x3(memory.map(x, rng.between(1, 2)), accumulate, out, kernels, 1);
             });
  });
}

TEST(reductions) {
  test.repeat(2000, [](Rng& rng) {
    const reference::Tensor a = random_tensor(rng, small_dims(rng), Data::kIntegers);
    const reference::Tensor b = random_tensor(rng, a.dims, Data::kIntegers);
    const reference::Values before = random_values(rng, a.dims.c, Data::kIntegers);
    reference::Values sums = before;
    reference::for_each_element(a.dims, [&](auto n, auto c, auto y, auto x) { sums[c] += a.at(n, c, y, x); });
    for (const KernelTable* kernels : float_kernels()) {
      GuardedMemory memory(rng);
      const FeatureMap a_map = memory.map(a, rng.between(0, 2)), b_map = memory.map(b, rng.between(0, 2));
      const std::size_t workspace = sum_workspace_floats(a_map.shape);
      CHECK_EQUAL(dot_maps(a_map, b_map, memory.floats(workspace), *kernels, 1), reference::dot(a, b), kernels->isa,
                  ", ", a.dims);
      float* received = memory.floats(before);
      add_channel_sums(a_map, memory.floats(workspace), received, *kernels, 1);
      CHECK_VALUES(read(received, sums.size()), sums, 0.0, kernels->isa, ", ", a.dims);
    }
  });
}

}  // namespace
}  // namespace qarepvgg::test
