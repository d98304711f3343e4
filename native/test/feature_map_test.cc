// Moving images in and out of the padded channels-last layout, and cutting them into chunks of rows.
#include "ops/feature_map.h"

#include <algorithm>
#include <map>

#include "kernels/dispatch.h"
#include "test/guarded_memory.h"
#include "test/tensors.h"

namespace qarepvgg::test {
namespace {

MapShape random_shape(Rng& rng) {
  const reference::Dims dims = small_dims(rng, 40);
  return {dims.n, dims.c, dims.h, dims.w, rng.between(0, 3)};
}

TEST(import_and_export_nchw) {
  test.repeat(2000, [](Rng& rng) {
    const MapShape shape = random_shape(rng);
    const reference::Tensor x = random_tensor(rng, {shape.n, shape.c, shape.h, shape.w}, Data::kReals);
    for (const KernelTable* kernels : available_kernels()) {
      GuardedMemory memory(rng);
      const FeatureMap map = memory.map(shape);
      import_nchw(memory.floats(x.data), map, {}, *kernels, 1);
      CHECK_VALUES(read(map).data, x.data, 0.0, shape, kernels->isa);
      CHECK(zero_border(map), shape, kernels->isa);
      float* out = memory.floats(shape.elements());
      export_nchw(map, out, *kernels, 1);
      CHECK_VALUES(read(out, shape.elements()), x.data, 0.0, shape, kernels->isa);
    }
  });
}

TEST(clear_map) {
  test.repeat(500, [](Rng& rng) {
    const MapShape shape = random_shape(rng);
    GuardedMemory memory(rng);
    const FeatureMap map = memory.map(shape);
    const std::size_t floats = shape.floats();
    std::fill_n(map.data, floats, 1.0f);
    qarepvgg::clear_map(map, false, 1);
    const reference::Tensor ones = read(map);
    CHECK_VALUES(ones.data, reference::Values(shape.elements(), 1.0), 0.0, shape);
    double sum = 0;  // the halo is zero; the interior is unchanged, including padding lanes
    for (std::size_t i = 0; i < floats; ++i) sum += static_cast<double>(map.data[i]);
    CHECK_EQUAL(sum, static_cast<double>(shape.n * shape.h * shape.w * shape.pixel()), shape);
    qarepvgg::clear_map(map, true, 1);
    CHECK_VALUES(read(map.data, floats), reference::Values(floats), 0.0, shape);
  });
}

// Every row of every image is in exactly one chunk, and a chunk never spans two images.
TEST(row_chunks) {
  const MapShape largest{4, 600, 60, 40, 2};
  AlignedBuffer memory(largest.floats());
  test.repeat(2000, [&](Rng& rng) {
    const MapShape shape{rng.between(1, largest.n), rng.between(1, largest.c), rng.between(1, largest.h),
                         rng.between(1, largest.w), rng.between(0, largest.halo)};
    const RowChunks chunks(shape);
    const FeatureMap map{memory.data(), shape};
    std::map<const float*, int> visits;  // by start of the row
    for (std::size_t chunk = 0; chunk < chunks.count(); ++chunk) {
      const Region region = chunks.region(chunk);
      const Rows rows = chunks.rows(map, chunk);
      CHECK(region.pixels == shape.w && region.channels == shape.pixel() && region.rows >= 1, shape);
      for (std::size_t row = 0; row < region.rows; ++row)
        ++visits[rows.data + static_cast<std::ptrdiff_t>(row) * rows.row];
    }
    CHECK_EQUAL(visits.size(), shape.n * shape.h, shape);
    for (std::size_t n = 0; n < shape.n; ++n)
      for (std::size_t y = 0; y < shape.h; ++y)
        CHECK_EQUAL(visits[map.at(n, static_cast<std::ptrdiff_t>(y), 0)], 1, shape, ", image ", n, ", row ", y);
  });
}

}  // namespace
}  // namespace qarepvgg::test
