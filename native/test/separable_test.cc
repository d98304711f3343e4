// Depthwise convolutions that run together with the pointwise one after them: the bits are those of the two run one
// after the other, which an output between them enforces.
#include "ops/conv_taps.h"
#include "test/graph_maker.h"
#include "test/harness.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

struct Block {
  std::size_t channels, out_channels, height, width, kernel, stride;
  bool residual, relu;

  Side side() const { return {kernel, stride, kernel / 2, kernel / 2, 1}; }
  std::size_t out_height() const { return side().positions(height); }
  std::size_t out_width() const { return side().positions(width); }
};

Block random_block(Rng& rng) {
  Block block{rng.between(1, 70), rng.between(1, 70), rng.between(1, 20), rng.between(1, 20), 3, 1, false, false};
  if (rng.chance(0.1)) block.channels = rng.between(500, 600);  // rows of more than a strip
  if (rng.chance(0.3)) block.kernel = 5;
  if (rng.chance(0.3)) block.stride = 2;
  block.relu = rng.chance(0.5);
  block.residual = block.stride == 1 && rng.chance(0.5);
  if (block.residual) block.out_channels = block.channels;
  return block;
}

// Convolutions: 1x1, depthwise, 1x1 that may add what the depthwise one reads. The last of the three values is an
// output, and so are the first `more`.
Maker maker_of(const Block& block, const std::vector<Floats>& weights, std::size_t more, int threads) {
  const std::size_t c = block.channels, out_c = block.out_channels;
  Maker maker;
  maker.input({1, c, block.height, block.width});
  const ValueId front = maker.constant({c, c, 1, 1}, weights[0]),
                depthwise = maker.constant({c, 1, block.kernel, block.kernel}, weights[1]),
                bias = maker.constant({c}, weights[2]), pointwise = maker.constant({out_c, c, 1, 1}, weights[3]);
  const auto conv = [&](const std::vector<ValueId>& inputs, const Dims& dims, std::size_t kernel, std::size_t stride,
                        std::size_t groups) {
    return maker.node("conv", inputs, dims, relu_if(block.relu, square_window(kernel, stride, kernel / 2, 1, groups)));
  };
  const ValueId before = conv({0, front}, {1, c, block.height, block.width}, 1, 1, 1);
  const ValueId between =
      conv({before, depthwise, bias}, {1, c, block.out_height(), block.out_width()}, block.kernel, block.stride, c);
  const ValueId last = conv({between, pointwise, kNoValue, block.residual ? before : kNoValue},
                            {1, out_c, block.out_height(), block.out_width()}, 1, 1, 1);
  maker.spec.outputs = {last};
  if (more > 0) maker.spec.outputs.push_back(between);
  if (more > 1) maker.spec.outputs.push_back(before);
  maker.spec.independent = true;
  maker.spec.together = 2;
  maker.spec.threads = threads;
  return maker;
}

// Runs three images.
std::vector<Floats> run_images(GraphProgram& program, const Dims& dims, const std::vector<Floats>& images) {
  std::vector<std::vector<Floats>> outputs(images.size());
  std::vector<GraphTask> tasks(images.size());
  std::vector<Floats> first;
  for (std::size_t i = 0; i < images.size(); ++i) {
    for (const TensorType& type : program.outputs({dims})) outputs[i].emplace_back(type.elements());
    tasks[i].inputs = {reinterpret_cast<const std::byte*>(images[i].data())};
    for (Floats& output : outputs[i]) tasks[i].outputs.push_back(reinterpret_cast<std::byte*>(output.data()));
  }
  const std::atomic<bool> stop{false};
  program.run({dims}, tasks.data(), tasks.size(), stop);
  for (const auto& list : outputs) first.push_back(list[0]);
  return first;
}

TEST(separable_convolutions) {
  test.repeat(60, [](Rng& rng) {
    const Block block = random_block(rng);
    const std::size_t c = block.channels;
    const std::vector<Floats> weights{random_floats(rng, c * c), random_floats(rng, c * block.kernel * block.kernel),
                                      random_floats(rng, c), random_floats(rng, c * block.out_channels)};
    Block other = block;
    other.height += rng.between(0, 5);
    other.width += rng.between(0, 5);
    for (const KernelTable* kernels : float_kernels()) {
      const UseKernels use(*kernels);
      for (const Block& size : {block, other}) {
        const Dims dims{1, c, size.height, size.width};
        std::vector<Floats> images;
        for (int i = 0; i < 3; ++i) images.push_back(random_floats(rng, c * size.height * size.width));
        std::vector<Floats> expected;
        for (int threads : {1, 2, 3})
          for (std::size_t more : {2, 1, 0}) {
            GraphProgram program(maker_of(block, weights, more, threads).finish());
            const std::vector<Floats> y = run_images(program, dims, images);
            if (expected.empty()) expected = y;
            CHECK(y == expected, kernels->isa, ", ", threads, " threads, ", more, " more outputs, ", c, " -> ",
                  block.out_channels, " channels, ", size.height, " x ", size.width, ", ", block.kernel, "/",
                  block.stride, block.residual ? ", residual" : "");
          }
      }
    }
  });
}

}  // namespace
}  // namespace qarepvgg::test
