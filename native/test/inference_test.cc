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

ImageSize nominal_size(const RandomChain& chain) { return {chain.spec.h, chain.spec.w}; }

ProgramSpec with_size(const ProgramSpec& spec, ImageSize size) {
  ProgramSpec changed = spec;
  changed.n = 1;
  changed.h = size.h;
  changed.w = size.w;
  return changed;
}

const KernelTable& random_kernels(Rng& rng) {
  return *available_kernels()[rng.between(0, available_kernels().size() - 1)];
}

reference::Values run_program(Rng& rng, Program& program, const RandomChain& chain, const reference::Values& image) {
  GuardedMemory memory(rng);
  std::vector<float> state = chain.state;
  const std::size_t floats = program.output_shape().elements();
  float* output = memory.floats(floats);
  program.forward(memory.floats(image), state.data(), output);
  return read(output, floats);
}

// The nominal size and others, including sizes that are too small.
TEST(inference_equals_program) {
  test.repeat(100, [](Rng& rng) {
    const RandomChain chain = random_chain(rng, 30);
    for (const KernelTable* kernels : available_kernels()) {
      const UseKernels use(*kernels);
      for (Algorithm algorithm : kAlgorithms) {
        InferenceProgram program(chain.spec, chain.state.data(), algorithm, rng.pick(kMinMacs));
        for (int i = 0; i < 3; ++i) {
          const ImageSize size = i == 0 ? nominal_size(chain) : ImageSize{rng.between(0, 24), rng.between(0, 24)};
          const std::string where = text_of(kernels->isa, ", ", describe(chain), ", ", size.h, " x ", size.w);
          const ProgramSpec spec = with_size(chain.spec, size);
          const std::string code = code_of([&] { Program oracle(spec); });
          CHECK_EQUAL(code_of([&] { program.output_shape(size); }), code, where);
          if (code != "no error") {
            CHECK_EQUAL(code_of([&] { program.run(size, nullptr, 0, std::atomic<bool>{false}); }), code, where);
            continue;
          }
          Program oracle(spec);
          CHECK(program.output_shape(size).same_dims(oracle.output_shape()), where);
          const std::vector<reference::Values> images{chain.random_image(rng, size), chain.random_image(rng, size)};
          const std::vector<reference::Values> outputs = infer(rng, program, size, images, images.size());
          for (std::size_t image = 0; image < images.size(); ++image) {
            const double error = relative_l2(outputs[image], run_program(rng, oracle, chain, images[image]));
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
    RandomChain chain = random_chain(rng, 34);
    const Algorithm algorithm = rng.pick(kAlgorithms);
    const ImageSize size = nominal_size(chain);
    std::vector<reference::Values> images, expected;
    InferenceProgram single(chain.spec, chain.state.data(), algorithm);
    for (int i = 0; i < 9; ++i) {
      images.push_back(chain.random_image(rng, size));
      expected.push_back(infer(rng, single, size, {images.back()}, 1).front());
    }
    for (int threads : kTeams) {
      chain.spec.threads = threads;
      InferenceProgram program(chain.spec, chain.state.data(), algorithm, rng.pick(kMinMacs));
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
    RandomChain chain = random_chain(rng, 24);
    chain.spec.threads = rng.pick(kTeams);
    const Algorithm algorithm = rng.pick(kAlgorithms);
    InferenceProgram program(chain.spec, chain.state.data(), algorithm, rng.pick(kMinMacs));
    struct Sized {
      ImageSize size;
      reference::Values image, expected;
    };
    std::vector<Sized> sized;
    for (int i = 0; i < 7; ++i) {
      const ImageSize size{rng.between(1, 24), rng.between(1, 24)};
      if (code_of([&] { program.output_shape(size); }) != "no error") continue;
      // A new program, packed for the same nominal size.
      InferenceProgram fresh(chain.spec, chain.state.data(), algorithm);
      const reference::Values image = chain.random_image(rng, size);
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
    RandomChain chain = random_chain(rng, 24);
    chain.spec.threads = rng.pick(kTeams);
    InferenceProgram program(chain.spec, chain.state.data(), Algorithm::kAuto, rng.pick(kMinMacs));
    const OpSpec& first = chain.spec.ops.front();
    const bool takes = first.kind == OpKind::kConv && first.groups == 1 && chain.spec.c <= kMaxImageChannels;
    CHECK_EQUAL(program.takes_bytes(), takes, describe(chain));
    if (!takes) return;

    const ImageSize size = nominal_size(chain);
    const std::size_t channels = chain.spec.c, pixels = size.h * size.w, count = rng.between(1, 4);
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
    RandomChain chain = random_chain(rng, 30);
    chain.spec.threads = rng.pick(kTeams);
    InferenceProgram program(chain.spec, chain.state.data(), Algorithm::kAuto, rng.pick(kMinMacs));
    const ImageSize size = nominal_size(chain);
    std::vector<reference::Values> images;
    for (int i = 0; i < 5; ++i) images.push_back(chain.random_image(rng, size));
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
    const RandomChain chain = random_chain(rng, 9);
    const auto code_with = [&](const auto& change) {
      ProgramSpec spec = chain.spec;
      change(spec);
      return code_of([&] { InferenceProgram program(spec, chain.state.data(), Algorithm::kAuto); });
    };
    const std::size_t op = rng.between(0, chain.spec.ops.size() - 1);
    CHECK_EQUAL(code_with([](ProgramSpec& spec) { spec.ops.clear(); }), code::kInvalidArg, "no op");
    CHECK_EQUAL(code_with([](ProgramSpec& spec) { spec.c = 0; }), code::kShape, "no channel");
    CHECK_EQUAL(code_with([](ProgramSpec& spec) { spec.w = 0; }), code::kShape, "no column");
    for (OpKind kind : {OpKind::kBatchNorm, OpKind::kAdd, OpKind::kScale, OpKind::kAveragePool, OpKind::kRelu})
      CHECK_EQUAL(code_with([&](ProgramSpec& spec) { spec.ops[op].kind = kind; }), code::kModelIncompatible,
                  describe(chain));
    CHECK_EQUAL(code_with([&](ProgramSpec& spec) { spec.ops[op].inputs = {op + 1}; }), code::kModelIncompatible,
                "an op that reads itself");
    CHECK_EQUAL(code_with([&](ProgramSpec& spec) { spec.ops[op].inputs.clear(); }), code::kModelIncompatible,
                "an op without input");
    CHECK_EQUAL(code_with([&](ProgramSpec& spec) {
                  spec.ops[op].kind = OpKind::kGlobalAverage;
                  spec.ops[op].activation = Activation::relu();
                }),
                code::kInvalidArg, "a ReLU that no global average has");
    if (chain.spec.ops[op].kind != OpKind::kGlobalAverage) {
      CHECK_EQUAL(code_with([&](ProgramSpec& spec) { spec.ops[op].weight = kNoTensor; }), code::kInvalidArg,
                  "no weight");
      CHECK_EQUAL(code_with([&](ProgramSpec& spec) { spec.ops[op].weight = spec.state_length; }), code::kInvalidArg,
                  "a weight outside the state");
    }
    if (chain.spec.ops[op].kind == OpKind::kConv)
      for (std::size_t OpSpec::* member :
           {&OpSpec::kernel, &OpSpec::stride, &OpSpec::dilation, &OpSpec::groups, &OpSpec::out_channels})
        CHECK_EQUAL(code_with([&](ProgramSpec& spec) { spec.ops[op].*member = 0; }), code::kInvalidArg,
                    describe(chain));
  });
}

// Images too large for any memory: an error, never a crash.
TEST(inference_of_huge_images) {
  test.repeat(2000, [](Rng& rng) {
    RandomChain chain = random_chain(rng, 9);
    chain.spec.threads = rng.pick(kTeams);
    const auto side = [&] {
      return (std::size_t{1} << rng.between(0, 63)) + (rng.chance(0.3) ? rng.between(0, 40) : 0);
    };
    const ImageSize size{side(), side()};
    const double floats = static_cast<double>(chain.spec.c) * static_cast<double>(size.h) * static_cast<double>(size.w);
    if (floats < 0x1p46) return;  // fits into an address space
    const Algorithm algorithm = rng.pick(kAlgorithms);
    const auto check = [&](const std::string& code) {
      CHECK(code == code::kSizeOverflow || code == code::kOutOfMemory || code == code::kShape, code, " for ",
            describe(chain), ", ", size.h, " x ", size.w);
    };
    InferenceProgram program(chain.spec, chain.state.data(), algorithm, rng.pick(kMinMacs));
    check(code_of([&] { program.run(size, nullptr, 0, std::atomic<bool>{false}); }));
    chain.spec.h = size.h;
    chain.spec.w = size.w;
    check(code_of([&] { InferenceProgram huge(chain.spec, chain.state.data(), algorithm); }));
  });
}

}  // namespace
}  // namespace qarepvgg::test
