// The first convolution, from floats and from bytes, on every instruction set against the reference.
#include "ops/stem.h"
#include "reference/elementwise.h"
#include "test/conv_cases.h"
#include "test/guarded_memory.h"
#include "test/pieces.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

// Bytes and their values, which are multiples of a half, so that sums are exact.
struct Bytes {
  std::vector<std::uint8_t> data;  // [height][width][channels]
  std::vector<float> scale, shift;
  reference::Tensor values;
};

Bytes random_bytes(Rng& rng, const reference::Dims& dims) {
  constexpr float kScales[]{0.5f, 1, 2, -1};
  Bytes bytes{std::vector<std::uint8_t>(dims.elements()), {}, {}, reference::Tensor(dims)};
  for (std::size_t c = 0; c < dims.c; ++c) {
    bytes.scale.push_back(rng.pick(kScales));
    bytes.shift.push_back(static_cast<float>(rng.integer(100)));
  }
  for (std::uint8_t& byte : bytes.data) byte = static_cast<std::uint8_t>(rng.between(0, 255));
  reference::for_each_element(dims, [&](std::size_t n, std::size_t c, std::size_t y, std::size_t x) {
    const std::uint8_t byte = bytes.data[(y * dims.w + x) * dims.c + c];
    bytes.values.at(n, c, y, x) = static_cast<double>(bytes.scale[c]) * byte + static_cast<double>(bytes.shift[c]);
  });
  return bytes;
}

// Guarded memory that ends with the last byte or begins with the first.
const std::uint8_t* guarded(GuardedMemory& memory, Rng& rng, const std::vector<std::uint8_t>& bytes) {
  const std::size_t floats = ceil_div(bytes.size(), sizeof(float));
  auto* data = reinterpret_cast<std::uint8_t*>(memory.floats(floats));
  if (rng.chance(0.5)) data += floats * sizeof(float) - bytes.size();
  std::copy(bytes.begin(), bytes.end(), data);
  return data;
}

void check(Rng& rng, const ConvShape& shape, const reference::Tensor& x, const Bytes* bytes, Data data) {
  const reference::Values weight = random_values(rng, shape.weight_elements(), data);
  const reference::Values bias = random_values(rng, shape.out_c, data);
  const bool relu = rng.chance(0.5);
  reference::Tensor expected = reference::convolve(x, weight, bias, reference_of(shape));
  if (relu) expected = reference::relu(expected);
  const double tolerance = sum_tolerance(data, 1, shape.weight_elements() / shape.out_c + 1);

  for (const KernelTable* kernels : float_kernels()) {
    GuardedMemory memory(rng);
    // Panels come from the plan for another width of image, as in a session that runs several sizes.
    ConvShape nominal = shape;
    nominal.in_w = rng.between(shape.reach() + 1, shape.reach() + 60);
    const FloatLines lines(shape.input(), *kernels);
    const FloatStem plan(lines, shape.window(),
                         FloatStem::choose({nominal.input(), *kernels}, shape.window(), shape.out_c));
    const FloatStem packer({nominal.input(), *kernels}, shape.window(), plan.panels());
    float *packed = memory.floats(packer.weight_bytes() / sizeof(float)),
          *packed_bias = memory.floats(packer.panels().padded());
    packer.pack_weights(memory.floats(weight), packed, 1);
    packer.panels().spread(memory.floats(bias), 1, packed_bias);
    Image image;
    if (bytes != nullptr)
      image = {nullptr, guarded(memory, rng, bytes->data), bytes->scale.data(), bytes->shift.data()};
    else
      image.floats = memory.floats(x.data);
    const MapShape out_shape{1, shape.out_c, shape.out_h(), shape.out_w(), rng.between(0, 2)};
    for (std::size_t members : {1u, 2u, 3u, 7u}) {
      const FeatureMap out = memory.map(out_shape);
      const auto scratch = scratch_of(memory, members, plan.scratch_bytes());
      run_in_pieces(rng, plan.items(), members, [&](const Tile& rows, std::size_t member, bool first) {
        plan.run_items(image, packed, {packed_bias, {false, relu ? &kReluClamp : nullptr}}, out, scratch[member], rows,
                       first);
      });
      CHECK_VALUES(read(out).data, expected.data, tolerance, kernels->isa, ", ", shape, ", ", members, " members");
      CHECK(zero_border(out), kernels->isa, ", ", shape);
    }
  }
}

TEST(stem_convolution_of_floats) {
  test.repeat(1500, [](Rng& rng) {
    const ConvShape shape = random_stem_shape(rng, kMaxImageChannels, rng.between(1, 3));
    const Data data = rng.chance(0.8) ? Data::kIntegers : Data::kReals;
    check(rng, shape, random_tensor(rng, input_dims(shape), data), nullptr, data);
  });
}

TEST(stem_convolution_of_bytes) {
  test.repeat(1500, [](Rng& rng) {
    const ConvShape shape = random_stem_shape(rng, kMaxImageChannels, rng.between(1, 3));
    const Bytes bytes = random_bytes(rng, input_dims(shape));
    check(rng, shape, bytes.values, &bytes, Data::kIntegers);
  });
}

}  // namespace
}  // namespace qarepvgg::test
