// Training steps of small classifiers: against the same step in double, on any number of threads, and after batches
// that are not finite.
#include "program/train/trainer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "test/program_maker.h"
#include "test/reference_program.h"
#include "test/tensors.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

// A RepVGG block (3x3 and 1x1 branch with batch norms, sum, ReLU), perhaps a squeeze-and-excitation, then a linear
// layer on the global average.
class Builder {
 public:
  explicit Builder(Rng& rng) : rng_(rng) {
    const std::size_t n = rng.between(2, 5), in_channels = rng.between(1, 4);
    maker_.spec.input = {n, in_channels, rng.between(3, 9), rng.between(3, 9)};
    const std::size_t channels = rng.between(1, 20), stride = rng.between(1, 2);
    channels_ = in_channels;
    classes_ = rng.between(2, 6);
    const MapId wide = add_norm(add_convolution(0, channels, 3, stride), channels);
    const MapId narrow = add_norm(add_convolution(0, channels, 1, stride), channels);
    MapId last = maker_.node("sum", {wide, narrow}, relu_if(true));
    channels_ = channels;
    if (rng.chance(0.3)) last = add_squeeze_excite(last);
    add_convolution(maker_.node("globalPool", {last}, global_average_attributes()), classes_, 1, 1);
    maker_.spec.nodes.back().inputs.push_back(tensor({classes_}, 0, 0, true));
    spec_.program = maker_.finish(state_.size());
    spec_.program.training = spec_.program.gradients = true;
    spec_.program.threads = 1;

    spec_.optimizer = rng.chance(0.5) ? OptimizerKind::kSgd : OptimizerKind::kAdamW;
    spec_.momentum = 0.9;
    spec_.beta2 = 0.99;
    spec_.epsilon = 1e-2;  // large, so that tiny gradients do not become whole steps
    spec_.nesterov = rng.chance(0.5);
    spec_.label_smoothing = rng.chance(0.5) ? 0.1 : 0;
    spec_.clip_norm = rng.chance(0.5) ? 0.5 : 0;
    if (spec_.optimizer == OptimizerKind::kSgd && rng.chance(0.5)) {
      const auto offset = [&](std::size_t node, std::size_t input) {
        return spec_.program.tensor(spec_.program.nodes[node].inputs[input])->offset;
      };
      spec_.custom_l2.push_back({channels, in_channels, kEpsilon, offset(0, 1), offset(1, 1), offset(1, 4),
                                 offset(2, 1), offset(3, 1), offset(3, 4)});
    }
  }

  TrainerSpec spec_;
  std::vector<float> state_;
  std::size_t classes_ = 0;

 private:
  static constexpr double kEpsilon = 1e-2;

  MapId add_convolution(MapId input, std::size_t out_channels, std::size_t kernel, std::size_t stride) {
    const double bound = 1 / std::sqrt(static_cast<double>(channels_ * kernel * kernel));
    const ValueId weight = tensor({out_channels, channels_, kernel, kernel}, -bound, bound, true);
    spec_.decayed.push_back(spec_.parameters.back());
    return maker_.node("conv", {input, weight}, square_window(kernel, stride, kernel / 2));
  }

  MapId add_norm(MapId input, std::size_t channels) {
    const ValueId weight = tensor({channels}, 0.5, 1.5, true), bias = tensor({channels}, -0.5, 0.5, true),
                  mean = tensor({channels}, 0, 0, false), variance = tensor({channels}, 1, 1, false),
                  batches = tensor({1}, 0, 0, false);
    return maker_.node("batchNorm", {input, weight, bias, mean, variance, batches},
                       batch_norm_attributes(kEpsilon, 0.1));
  }

  MapId add_squeeze_excite(MapId input) {
    const ValueId down = tensor({3, channels_}, -1, 1, true), down_bias = tensor({3}, -1, 1, true),
                  up = tensor({channels_, 3}, -1, 1, true), up_bias = tensor({channels_}, -1, 1, true);
    return maker_.node("squeezeExcite", {input, down, down_bias, up, up_bias});
  }

  // Sometimes leaves a gap before the tensor, which nothing may touch.
  ValueId tensor(const Dims& dims, double low, double high, bool trainable) {
    state_.resize(state_.size() + rng_.between(0, 2), 7.0f);
    const StateOffset offset = state_.size();
    const std::size_t count = elements_of(dims);
    for (std::size_t i = 0; i < count; ++i) state_.push_back(static_cast<float>(rng_.uniform(low, high)));
    if (trainable) spec_.parameters.push_back({offset, count});
    return maker_.tensor(offset, dims);
  }

  Rng& rng_;
  ProgramMaker maker_;
  std::size_t channels_ = 0;
};

// A batch with memory of its own.
struct Images {
  std::vector<std::vector<float>> floats;
  std::vector<std::vector<std::uint8_t>> bytes;
  std::vector<float> scale, shift;
  std::vector<std::int32_t> labels;
  std::vector<Augmentation> augment;

  Batch batch() const {
    Batch batch{std::vector<Image>(labels.size()), labels.data(), augment.empty() ? nullptr : augment.data()};
    for (std::size_t i = 0; i < labels.size(); ++i) {
      if (bytes.empty())
        batch.images[i].floats = floats[i].data();
      else
        batch.images[i] = {nullptr, bytes[i].data(), scale.data(), shift.data()};
    }
    return batch;
  }
};

MapShape shape_of(const ProgramSpec& spec) { return {spec.input[0], spec.input[1], spec.input[2], spec.input[3]}; }

Images random_images(Rng& rng, const Builder& built) {
  Images images;
  const MapShape shape = shape_of(built.spec_.program);
  const std::size_t elements = shape.c * shape.h * shape.w;
  const bool as_bytes = rng.chance(0.3), augmented = rng.chance(0.5);
  for (std::size_t c = 0; c < shape.c; ++c) {
    images.scale.push_back(static_cast<float>(rng.uniform(0.005, 0.01)));
    images.shift.push_back(static_cast<float>(rng.uniform(-1, 0)));
  }
  for (std::size_t i = 0; i < shape.n; ++i) {
    images.labels.push_back(static_cast<std::int32_t>(rng.between(0, built.classes_ - 1)));
    const auto shift = [&] { return static_cast<std::int16_t>(rng.chance(0.1) ? rng.integer(30000) : rng.integer(3)); };
    if (augmented) images.augment.push_back({shift(), shift(), static_cast<std::int16_t>(rng.between(0, 1))});
    if (as_bytes) {
      images.bytes.emplace_back(elements);
      for (std::uint8_t& byte : images.bytes.back()) byte = static_cast<std::uint8_t>(rng.between(0, 255));
    } else {
      const reference::Values values = random_values(rng, elements, Data::kReals);
      images.floats.emplace_back(values.begin(), values.end());
    }
  }
  return images;
}

// The input of the program for a batch.
reference::Tensor input_of(const Images& images, const ProgramSpec& spec) {
  const MapShape shape = shape_of(spec);
  reference::Tensor input(reference::Dims{shape.n, shape.c, shape.h, shape.w});
  reference::for_each_element(input.dims, [&](std::size_t n, std::size_t c, std::size_t y, std::size_t x) {
    const Augmentation augment = images.augment.empty() ? Augmentation{} : images.augment[n];
    const int from_x = static_cast<int>(augment.mirror != 0 ? shape.w - 1 - x : x) - augment.right;
    const int from_y = static_cast<int>(y) - augment.down;
    double& value = input.at(n, c, y, x);
    if (!input.inside(from_y, from_x)) {
      if (!images.bytes.empty()) value = static_cast<double>(images.shift[c]);
      return;
    }
    const std::size_t row = static_cast<std::size_t>(from_y), column = static_cast<std::size_t>(from_x);
    if (images.bytes.empty())
      value = static_cast<double>(images.floats[n][(c * shape.h + row) * shape.w + column]);
    else
      value = static_cast<double>(images.bytes[n][(row * shape.w + column) * shape.c + c]) *
                  static_cast<double>(images.scale[c]) +
              static_cast<double>(images.shift[c]);
  });
  return input;
}

// The same step in double, by the formulas of torch.optim.SGD and AdamW with decoupled or added weight decay.
class ReferenceTrainer {
 public:
  ReferenceTrainer(const TrainerSpec& spec, const std::vector<float>& state)
      : spec_(spec),
        program_(spec.program),
        state(state.begin(), state.end()),
        first_(state.size()),
        second_(state.size()) {}

  double step(const Images& images, double rate, double decay) {
    reference::Values gradients(state.size());
    const reference::Tensor logits = program_.forward(input_of(images, spec_.program), state);
    reference::Tensor grad(logits.dims);
    const double loss = cross_entropy(logits, images.labels, grad);
    program_.backward(grad, state, gradients);
    double norm = 0;
    each(spec_.parameters, [&](std::size_t i) { norm += gradients[i] * gradients[i]; });
    norm = std::sqrt(norm);
    if (spec_.clip_norm > 0 && norm > spec_.clip_norm)
      each(spec_.parameters, [&](std::size_t i) { gradients[i] *= spec_.clip_norm / (norm + 1e-6); });
    for (const CustomL2Block& block : spec_.custom_l2) add_custom_l2(block, decay, gradients);
    ++count_;
    const bool sgd = spec_.optimizer == OptimizerKind::kSgd;
    each(spec_.decayed, [&](std::size_t i) {
      if (sgd)
        gradients[i] += decay * state[i];
      else
        state[i] *= 1 - rate * decay;
    });
    each(spec_.parameters, [&](std::size_t i) { update(i, gradients[i], rate, sgd); });
    return loss;
  }

  double margin() const { return program_.margin(); }

 private:
  template <class Body>
  static void each(const std::vector<StateRange>& ranges, const Body& body) {
    for (const StateRange& range : ranges)
      for (std::size_t i = range.offset; i < range.offset + range.length; ++i) body(i);
  }

  double cross_entropy(const reference::Tensor& logits, const std::vector<std::int32_t>& labels,
                       reference::Tensor& grad) const {
    const std::size_t classes = logits.dims.c;
    const double rows = static_cast<double>(labels.size()), smoothing = spec_.label_smoothing;
    double loss = 0;
    for (std::size_t row = 0; row < labels.size(); ++row) {
      double sum = 0;
      for (std::size_t k = 0; k < classes; ++k) sum += std::exp(logits.at(row, k, 0, 0));
      for (std::size_t k = 0; k < classes; ++k) {
        const bool is_label = static_cast<std::size_t>(labels[row]) == k;
        const double target = smoothing / static_cast<double>(classes) + (is_label ? 1 - smoothing : 0);
        const double probability = std::exp(logits.at(row, k, 0, 0)) / sum;
        loss -= target * std::log(probability) / rows;
        grad.at(row, k, 0, 0) = (probability - target) / rows;
      }
    }
    return loss;
  }

  void add_custom_l2(const CustomL2Block& block, double decay, reference::Values& gradients) const {
    for (std::size_t o = 0; o < block.out_channels; ++o) {
      const double t3 = state[block.gamma3x3 + o] / std::sqrt(state[block.var3x3 + o] + block.eps);
      const double t1 = state[block.gamma1x1 + o] / std::sqrt(state[block.var1x1 + o] + block.eps);
      for (std::size_t i = o * block.depth; i < (o + 1) * block.depth; ++i) {
        const std::size_t wide = block.weight3x3 + 9 * i, narrow = block.weight1x1 + i;
        const double centre = (state[wide + 4] * t3 + state[narrow] * t1) / (t3 * t3 + t1 * t1);
        for (std::size_t tap = 0; tap < 9; ++tap)
          gradients[wide + tap] += decay * (tap == 4 ? centre * t3 : state[wide + tap]);
        gradients[narrow] += decay * centre * t1;
      }
    }
  }

  void update(std::size_t i, double gradient, double rate, bool sgd) {
    if (sgd) {
      first_[i] = spec_.momentum * first_[i] + gradient;
      state[i] -= rate * (spec_.nesterov ? gradient + spec_.momentum * first_[i] : first_[i]);
      return;
    }
    first_[i] = spec_.momentum * first_[i] + (1 - spec_.momentum) * gradient;
    second_[i] = spec_.beta2 * second_[i] + (1 - spec_.beta2) * gradient * gradient;
    const double mean = first_[i] / (1 - std::pow(spec_.momentum, count_));
    const double square = second_[i] / (1 - std::pow(spec_.beta2, count_));
    state[i] -= rate * mean / (std::sqrt(square) + spec_.epsilon);
  }

  TrainerSpec spec_;
  ReferenceProgram program_;
  int count_ = 0;

 public:
  reference::Values state;

 private:
  reference::Values first_, second_;
};

reference::Values read_all(const std::vector<float>& values) { return {values.begin(), values.end()}; }

std::string describe(const TrainerSpec& spec) {
  const ProgramSpec& p = spec.program;
  return text_of(spec.optimizer == OptimizerKind::kSgd ? "SGD" : "AdamW", spec.custom_l2.empty() ? "" : ", customL2",
                 ", ", qarepvgg::text_of(p.input), ", ", p.nodes.size(), " nodes");
}

TEST(trainer_equals_reference) {
  test.repeat(150, [](Rng& rng) {
    const Builder built(rng);
    std::vector<Images> batches;
    for (int i = 0; i < 3; ++i) batches.push_back(random_images(rng, built));
    const double rate = rng.uniform(0.001, 0.05), decay = rng.chance(0.3) ? 0.0 : rng.uniform(0, 0.1);
    ReferenceTrainer oracle(built.spec_, built.state_);
    std::vector<double> losses;
    for (const Images& images : batches) {
      losses.push_back(oracle.step(images, rate, decay));
      if (oracle.margin() < 1e-5) return;  // an input of a ReLU is too near zero for a comparison
    }
    for (const KernelTable* kernels : float_kernels()) {
      const UseKernels use(*kernels);
      Trainer trainer(built.spec_, built.state_.data());
      const std::string where = text_of(kernels->isa, ", ", describe(built.spec_));
      for (std::size_t i = 0; i < batches.size(); ++i) {
        const LossResult result = trainer.step(batches[i].batch(), rate, decay);
        CHECK(std::abs(result.loss - losses[i]) <= 2e-5, where, ", step ", i, ": loss ", result.loss, ", expected ",
              losses[i]);
        CHECK_EQUAL(trainer.step_count(), i + 1, where);
      }
      CHECK_VALUES(read_all(trainer.state()), oracle.state, 1e-4, where);
    }
  });
}

TEST(trainer_loss_falls) {
  test.repeat(30, [](Rng& rng) {
    const Builder built(rng);
    Images images = random_images(rng, built);
    images.augment.clear();  // images that are shifted away completely would be equal
    TrainerSpec spec = built.spec_;
    spec.label_smoothing = spec.clip_norm = 0;
    spec.program.threads = 2;
    Trainer trainer(spec, built.state_.data());
    const double first = trainer.step(images.batch(), 0.05, 0).loss;
    double last = first;
    for (int i = 0; i < 100; ++i) last = trainer.step(images.batch(), 0.05, 0).loss;
    CHECK(last < 0.9 * first, describe(spec), ": from ", first, " to ", last);
  });
}

TEST(trainer_on_any_number_of_threads) {
  test.repeat(40, [](Rng& rng) {
    Builder built(rng);
    ProgramSpec& program = built.spec_.program;
    program.input[0] = rng.between(2, 9);
    for (std::size_t side : {2u, 3u}) program.input[side] = rng.between(10, 40);  // enough work to wake threads
    const Images images = random_images(rng, built);
    reference::Values expected;
    for (int threads : {1, 2, 3, 7}) {
      program.threads = threads;
      Trainer trainer(built.spec_, built.state_.data());
      reference::Values all;
      for (int i = 0; i < 3; ++i) all.push_back(trainer.step(images.batch(), 0.1, 0.01).loss);
      for (const std::vector<float>* values : {&trainer.state(), &trainer.optimizer_state()})
        all.insert(all.end(), values->begin(), values->end());
      if (threads == 1) expected = all;
      CHECK_VALUES(all, expected, 0.0, describe(built.spec_), ", ", threads, " threads");
    }
  });
}

// A batch that is not finite changes nothing, and the next step computes as if it had never been there.
TEST(trainer_survives_what_is_not_finite) {
  test.repeat(150, [](Rng& rng) {
    const UseKernels use(*float_kernels()[rng.between(0, float_kernels().size() - 1)]);
    const Builder built(rng);
    Images good = random_images(rng, built), bad = random_images(rng, built);
    if (bad.floats.empty()) return;
    bad.augment.clear();
    constexpr float kSpecials[]{std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                                -std::numeric_limits<float>::infinity(), 3e38f};
    std::vector<float>& image = bad.floats[rng.between(0, bad.floats.size() - 1)];
    const float special = rng.pick(kSpecials);
    const std::size_t tapped = rng.between(0, 3);  // even rows and columns are read for every stride
    image[tapped % 2 * 2 * built.spec_.program.input[3] + tapped / 2 * 2] = special;

    Trainer clean(built.spec_, built.state_.data()), trainer(built.spec_, built.state_.data());
    const std::string where = text_of(describe(built.spec_), ", ", special);
    for (int i = 0; i < 2; ++i) {
      const reference::Values state = read_all(trainer.state()), optimizer = read_all(trainer.optimizer_state());
      CHECK_EQUAL(code_of([&] { trainer.step(bad.batch(), 0.1, 0.01); }), code::kNonFinite, where);
      CHECK_VALUES(read_all(trainer.state()), state, 0.0, where);
      CHECK_VALUES(read_all(trainer.optimizer_state()), optimizer, 0.0, where);
      CHECK_EQUAL(trainer.step_count(), clean.step_count(), where);
      CHECK_EQUAL(trainer.step(good.batch(), 0.1, 0.01).loss, clean.step(good.batch(), 0.1, 0.01).loss, where);
      CHECK_VALUES(read_all(trainer.state()), read_all(clean.state()), 0.0, where);
      CHECK_VALUES(read_all(trainer.optimizer_state()), read_all(clean.optimizer_state()), 0.0, where);
    }
  });
}

TEST(trainer_rejects) {
  test.repeat(50, [](Rng& rng) {
    const Builder built(rng);
    const auto code_with = [&](const auto& change) {
      TrainerSpec spec = built.spec_;
      change(spec);
      return code_of([&] { Trainer trainer(spec, built.state_.data()); });
    };
    const std::size_t length = built.state_.size();
    CHECK_EQUAL(code_with([](TrainerSpec& spec) { spec.program.nodes.resize(5); }), code::kShape, "no classifier");
    for (const StateRange& range : {StateRange{length, 1}, StateRange{0, length + 1}, StateRange{~std::size_t{0}, 2},
                                    StateRange{2, ~std::size_t{0}}}) {
      CHECK_EQUAL(code_with([&](TrainerSpec& spec) { spec.parameters.push_back(range); }), code::kInvalidArg,
                  "parameters");
      CHECK_EQUAL(code_with([&](TrainerSpec& spec) { spec.decayed.push_back(range); }), code::kInvalidArg, "decayed");
    }
    const auto block = [&](std::size_t out, std::size_t depth, std::size_t weight) {
      return [=](TrainerSpec& spec) { spec.custom_l2 = {{out, depth, 1e-5, weight, 0, 0, 0, 0, 0}}; };
    };
    CHECK_EQUAL(code_with(block(1, 1, length - 8)), code::kInvalidArg, "a kernel past the state");
    CHECK_EQUAL(code_with(block(std::size_t{1} << 32, std::size_t{1} << 32, 0)), code::kSizeOverflow, "a huge block");
  });
}

}  // namespace
}  // namespace qarepvgg::test
