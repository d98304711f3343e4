// Inference programs against class Program, and against themselves: the result of an image has the same bits at every
// place in every batch, on any number of threads, whatever ran before.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <thread>

#include "program/train/program.h"
#include "test/chain_program.h"
#include "test/random_chain.h"
#include "test/tensors.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

constexpr double kTolerance = 1e-5;
constexpr Algorithm kAlgorithms[]{Algorithm::kAuto, Algorithm::kGemm, Algorithm::kWinograd};
constexpr int kTeams[]{1, 2, 3, 7};
// These networks are small: 0 lets any team share an image.
constexpr double kMinMacs[]{0, 3e3, InferenceProgram::kMinMacs};

const KernelTable& random_kernels(Rng& rng) {
  return *available_kernels()[rng.between(0, available_kernels().size() - 1)];
}

reference::Values run_program(Rng& rng, Program& program, std::vector<float> state, const reference::Values& image) {
  GuardedMemory memory(rng);
  const std::size_t floats = program.output_shape().elements();
  float* output = memory.floats(floats);
  program.forward(memory.floats(image), state.data(), output);
  return read(output, floats);
}

// The nominal size and others, including sizes that are too small.
TEST(inference_equals_program) {
  test.repeat(100, [](Rng& rng) {
    const Chain chain = random_chain(rng, 30);
    for (const KernelTable* kernels : available_kernels()) {
      const UseKernels use(*kernels);
      for (Algorithm algorithm : kAlgorithms) {
        InferenceProgram program(chain, algorithm, rng.pick(kMinMacs));
        for (int i = 0; i < 3; ++i) {
          const ImageSize size = i == 0 ? chain.size() : ImageSize{rng.between(0, 24), rng.between(0, 24)};
          const std::string where = text_of(kernels->isa, ", ", describe(chain), ", ", size.h, " x ", size.w);
          std::vector<float> state;
          const ProgramSpec spec = program_of(chain, size, state);
          const std::string code = code_of([&] { Program oracle(spec); });
          CHECK_EQUAL(code_of([&] { program.output_shape(size); }), code, where);
          if (code != "no error") {
            CHECK_EQUAL(code_of([&] { program.run(size, nullptr, 0, std::atomic<bool>{false}); }), code, where);
            continue;
          }
          Program oracle(spec);
          CHECK(program.output_shape(size).same_dims(oracle.output_shape()), where);
          const std::vector<reference::Values> images{random_image(rng, chain, size), random_image(rng, chain, size)};
          const std::vector<reference::Values> outputs = infer(rng, program, size, images, images.size());
          for (std::size_t image = 0; image < images.size(); ++image) {
            const double error = relative_l2(outputs[image], run_program(rng, oracle, state, images[image]));
            CHECK(error <= kTolerance, where, ", image ", image, ": relative error ", error);
          }
        }
      }
    }
  });
}

TEST(inference_of_any_batch_on_any_team) {
  test.repeat(50, [](Rng& rng) {
    const UseKernels use(random_kernels(rng));
    Chain chain = random_chain(rng, 34);
    const Algorithm algorithm = rng.pick(kAlgorithms);
    const ImageSize size = chain.size();
    std::vector<reference::Values> images, expected;
    InferenceProgram single(chain, algorithm);
    for (int i = 0; i < 9; ++i) {
      images.push_back(random_image(rng, chain, size));
      expected.push_back(infer(rng, single, size, {images.back()}, 1).front());
    }
    for (int threads : kTeams) {
      chain.spec.threads = threads;
      InferenceProgram program(chain, algorithm, rng.pick(kMinMacs));
      CHECK_EQUAL(program.threads(), threads, describe(chain));
      for (std::size_t count = 0; count <= images.size(); ++count) {
        const std::vector<reference::Values> outputs = infer(rng, program, size, images, count);
        for (std::size_t i = 0; i < count; ++i)
          CHECK_VALUES(outputs[i], expected[i], 0.0, describe(chain), ", ", threads, " threads, image ", i, " of ",
                       count);
      }
    }
  });
}

// More sizes than plans are kept for, in any order, with images of NaN among them.
TEST(inference_of_many_sizes) {
  test.repeat(60, [](Rng& rng) {
    const UseKernels use(random_kernels(rng));
    Chain chain = random_chain(rng, 24);
    chain.spec.threads = rng.pick(kTeams);
    const Algorithm algorithm = rng.pick(kAlgorithms);
    InferenceProgram program(chain, algorithm, rng.pick(kMinMacs));
    struct Sized {
      ImageSize size;
      reference::Values image, expected;
    };
    std::vector<Sized> sized;
    for (int i = 0; i < 7; ++i) {
      const ImageSize size{rng.between(1, 24), rng.between(1, 24)};
      if (code_of([&] { program.output_shape(size); }) != "no error") continue;
      // A new program, packed for the same nominal size.
      InferenceProgram fresh(chain, algorithm);
      const reference::Values image = random_image(rng, chain, size);
      sized.push_back({size, image, infer(rng, fresh, size, {image}, 1).front()});
    }
    for (int i = 0; i < 20 && !sized.empty(); ++i) {
      const Sized& one = sized[rng.between(0, sized.size() - 1)];
      const reference::Values nan(one.image.size(), std::numeric_limits<double>::quiet_NaN());
      if (rng.chance(0.5)) infer(rng, program, one.size, {nan, nan, nan}, 3);
      const std::size_t count = rng.between(1, 5);
      const auto outputs = infer(rng, program, one.size, std::vector<reference::Values>(count, one.image), count);
      for (const reference::Values& output : outputs)
        CHECK_VALUES(output, one.expected, 0.0, describe(chain), ", ", one.size.h, " x ", one.size.w);
    }
  });
}

TEST(inference_of_bytes) {
  test.repeat(150, [](Rng& rng) {
    const UseKernels use(random_kernels(rng));
    Chain chain = random_chain(rng, 24);
    chain.spec.threads = rng.pick(kTeams);
    InferenceProgram program(chain, Algorithm::kAuto, rng.pick(kMinMacs));
    const NodeSpec& first = chain.spec.nodes.front();
    const bool takes =
        first.op == "conv" && first.attributes.size("group") == 1 && chain.channels() <= kMaxImageChannels;
    CHECK_EQUAL(program.takes_bytes(), takes, describe(chain));
    if (!takes) return;

    const ImageSize size = chain.size();
    const std::size_t channels = chain.channels(), pixels = size.h * size.w, count = rng.between(1, 4);
    std::vector<float> scale(channels), shift(channels);
    for (std::size_t c = 0; c < channels; ++c) {
      scale[c] = static_cast<float>(rng.uniform(-0.02, 0.02));
      shift[c] = static_cast<float>(rng.uniform(-1, 1));
    }
    std::vector<std::vector<std::uint8_t>> bytes(count, std::vector<std::uint8_t>(channels * pixels));
    std::vector<reference::Values> images(count, reference::Values(channels * pixels));
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t at = 0; at < channels * pixels; ++at) {
        const std::size_t c = at % channels;
        bytes[i][at] = static_cast<std::uint8_t>(rng.between(0, 255));
        const float value = static_cast<float>(bytes[i][at]) * scale[c];
        images[i][c * pixels + at / channels] = static_cast<double>(value + shift[c]);
      }
    const auto expected = infer(rng, program, size, images, count);
    std::vector<std::vector<float>> outputs(count, std::vector<float>(expected.front().size()));
    std::vector<ImageTask> tasks;
    for (std::size_t i = 0; i < count; ++i)
      tasks.push_back({{nullptr, bytes[i].data(), scale.data(), shift.data()}, outputs[i].data()});
    program.run(size, tasks.data(), count, std::atomic<bool>{false});
    for (std::size_t i = 0; i < count; ++i)
      CHECK_VALUES(read(outputs[i].data(), outputs[i].size()), expected[i], 0.0, describe(chain), ", image ", i);
  });
}

// A stop at any moment ends the run and does not affect the next one.
TEST(inference_stops) {
  test.repeat(60, [](Rng& rng) {
    const UseKernels use(random_kernels(rng));
    Chain chain = random_chain(rng, 30);
    chain.spec.threads = rng.pick(kTeams);
    InferenceProgram program(chain, Algorithm::kAuto, rng.pick(kMinMacs));
    const ImageSize size = chain.size();
    std::vector<reference::Values> images;
    for (int i = 0; i < 5; ++i) images.push_back(random_image(rng, chain, size));
    const auto expected = infer(rng, program, size, images, images.size());

    std::vector<std::vector<float>> inputs, outputs(images.size(), std::vector<float>(expected.front().size()));
    std::vector<ImageTask> tasks;
    for (const reference::Values& image : images) inputs.emplace_back(image.begin(), image.end());
    for (std::size_t i = 0; i < images.size(); ++i) {
      tasks.push_back({{}, outputs[i].data()});
      tasks.back().input.floats = inputs[i].data();
    }
    for (int i = 0; i < 5; ++i) {
      std::atomic<bool> stop{i == 0};
      const auto delay = std::chrono::microseconds(rng.between(0, 300));
      std::thread stopper([&stop, delay] {
        std::this_thread::sleep_for(delay);
        stop = true;
      });
      program.run(size, tasks.data(), tasks.size(), stop);
      stopper.join();
      const auto again = infer(rng, program, size, images, images.size());
      for (std::size_t image = 0; image < images.size(); ++image)
        CHECK_VALUES(again[image], expected[image], 0.0, describe(chain), ", image ", image);
    }
  });
}

TEST(inference_rejects) {
  test.repeat(100, [](Rng& rng) {
    const Chain chain = random_chain(rng, 9);
    const auto code_with = [&](const auto& change) {
      Chain changed = chain;
      change(changed.spec);
      return code_of([&] { InferenceProgram program(changed, Algorithm::kAuto); });
    };
    const std::size_t at = rng.between(0, chain.spec.nodes.size() - 1);
    for (std::size_t dim : {1u, 2u, 3u})
      CHECK_EQUAL(code_with([&](GraphSpec& spec) { spec.inputs[0].dims[dim] = 0; }), code::kShape, describe(chain));
    for (const char* op : {"batchNorm", "sum", "scale", "magic"})
      CHECK_EQUAL(code_with([&](GraphSpec& spec) { spec.nodes[at].op = op; }), code::kModelIncompatible, op);
    CHECK_EQUAL(code_with([&](GraphSpec& spec) { spec.nodes[at].outputs[0].dims[1] += 1; }), code::kShape,
                "dims of an output that is not computed");
    for (const char* name : {"kernel", "strides", "dilations"})
      if (chain.spec.nodes[at].op == "conv")
        CHECK_EQUAL(code_with([&](GraphSpec& spec) { spec.nodes[at].attributes.set(name, std::vector<double>{0, 0}); }),
                    code::kInvalidArg, describe(chain));
  });
}

// Images too large for any memory: an error, never a crash.
TEST(inference_of_huge_images) {
  test.repeat(2000, [](Rng& rng) {
    Chain chain = random_chain(rng, 9);
    chain.spec.threads = rng.pick(kTeams);
    const auto side = [&] {
      return (std::size_t{1} << rng.between(0, 63)) + (rng.chance(0.3) ? rng.between(0, 40) : 0);
    };
    const ImageSize size{side(), side()};
    const double floats =
        static_cast<double>(chain.channels()) * static_cast<double>(size.h) * static_cast<double>(size.w);
    if (floats < 0x1p46) return;  // fits into an address space
    const Algorithm algorithm = rng.pick(kAlgorithms);
    const auto check = [&](const std::string& code) {
      CHECK(code == code::kSizeOverflow || code == code::kOutOfMemory || code == code::kShape, code, " for ",
            describe(chain), ", ", size.h, " x ", size.w);
    };
    InferenceProgram program(chain, algorithm, rng.pick(kMinMacs));
    check(code_of([&] { program.run(size, nullptr, 0, std::atomic<bool>{false}); }));
    chain.spec.inputs[0].dims = {1, chain.channels(), size.h, size.w};
    check(code_of([&] { InferenceProgram huge(chain, algorithm); }));
  });
}

}  // namespace
}  // namespace qarepvgg::test
