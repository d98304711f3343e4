// Global average pooling and its gradient against the reference.
#include "ops/pooling.h"

#include "reference/elementwise.h"
#include "test/guarded_memory.h"
#include "test/pieces.h"
#include "test/tensors.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

// Sums of whole numbers are exact; only the division rounds.
TEST(global_average) {
  test.repeat(1000, [](Rng& rng) {
    const reference::Tensor x =
        random_tensor(rng, small_dims(rng), rng.chance(0.8) ? Data::kIntegers : Data::kSpecials);
    const reference::Tensor expected = reference::global_average(x);
    for (const KernelTable* kernels : float_kernels())
      for (std::size_t members : {1u, 2u, 3u, 7u}) {
        GuardedMemory memory(rng);
        const FeatureMap in = memory.map(x, rng.between(0, 2));
        const FeatureMap out = memory.map(MapShape{x.dims.n, x.dims.c, 1, 1, rng.between(0, 1)});
        run_in_pieces(rng, x.dims.n, members,
                      [&](const Tile& images, std::size_t, bool) { global_average(in, out, *kernels, images); });
        CHECK_VALUES(read(out).data, expected.data, 8 * kEpsilon, kernels->isa, ", ", x.dims, ", ", members,
                     " members");
        CHECK(zero_border(out), kernels->isa, ", ", x.dims);
      }
  });
}

// A long sum of equal terms is the worst case, because every addition rounds the same way.
TEST(global_average_of_large_images) {
  const reference::Tensor x({1, 3, 512, 512}, reference::Values(3 * 512 * 512, static_cast<double>(0.1f)));
  test.repeat(1, [&](Rng& rng) {
    for (const KernelTable* kernels : float_kernels()) {
      GuardedMemory memory(rng);
      const FeatureMap out = memory.map(MapShape{1, 3, 1, 1, 0});
      global_average(memory.map(x, 1), out, *kernels, {0, 1});
      CHECK_VALUES(read(out).data, reference::Values(3, static_cast<double>(0.1f)), 1e-6, kernels->isa);
    }
  });
}

TEST(global_average_gradient) {
  test.repeat(1000, [](Rng& rng) {
    const reference::Dims dims = small_dims(rng);
    const reference::Tensor grad = random_tensor(rng, {dims.n, dims.c, 1, 1}, Data::kReals);
    const reference::Tensor before = random_tensor(rng, dims, Data::kReals);
    const bool accumulate = rng.chance(0.5);
    reference::Tensor expected = reference::global_average_gradient(grad, dims);
    if (accumulate) expected = reference::add({&expected, &before});
    for (int threads : {1, 2, 3, 7}) {
      GuardedMemory memory(rng);
      const std::size_t halo = rng.between(0, 2);
      const FeatureMap out =
          accumulate ? memory.map(before, halo) : memory.map(MapShape{dims.n, dims.c, dims.h, dims.w, halo});
      global_average_backward(memory.map(grad, rng.between(0, 1)), accumulate, out, threads);
      CHECK_VALUES(read(out).data, expected.data, 2 * kEpsilon, dims, ", ", threads, " threads");
      CHECK(zero_border(out), dims);
    }
  });
}

}  // namespace
}  // namespace qarepvgg::test
