// Global average of integers, on every instruction set: the same bits as the reference.
#include "kernels/dispatch.h"
#include "ops/pooling.h"
#include "test/guarded_memory.h"
#include "test/pieces.h"
#include "test/quantized_cases.h"

namespace qarepvgg::test {
namespace {

TEST(quantized_global_average) {
  test.repeat(2000, [](Rng& rng) {
    const reference::Dims dims = small_dims(rng);
    const reference::Tensor x = random_integers(rng, dims);
    const Quantization from = random_quantization(rng);
    // Pixels count half a step, which makes ties, or any number of steps.
    const double pixels = static_cast<double>(dims.h * dims.w), steps = rng.chance(0.7) ? 2 : rng.uniform(1, 300);
    const Quantization to(static_cast<double>(from.scale()) * steps / pixels,
                          static_cast<double>(random_quantization(rng).zero_point()), "a test");
    const reference::Tensor expected =
        reference::quantized_global_average(x, {from.scale(), from.zero_point()}, {to.scale(), to.zero_point()});
    for (const KernelTable* table : available_kernels()) {
      const IntegerKernels& kernels = *table->integer;
      const std::size_t element = static_cast<std::size_t>(kernels.element_bytes), members = rng.between(1, 4);
      GuardedMemory memory(rng);
      const ByteMap in = memory.byte_map(x, rng.between(0, 1), element, from.zero_point());
      const ByteMap out = memory.byte_map({dims.n, dims.c, 1, 1, rng.between(0, 1)}, element, to.zero_point());
      run_in_pieces(rng, integer_average_items(in.shape), members, [&](const Tile& items, std::size_t, bool) {
        integer_global_average(in, from, out, to, kernels, items);
      });
      CHECK_VALUES(read(out).data, expected.data, 0.0, table->isa, ", ", dims);
      CHECK(border_holds(out, to.zero_point()), table->isa, ", ", dims);
    }
  });
}

}  // namespace
}  // namespace qarepvgg::test
