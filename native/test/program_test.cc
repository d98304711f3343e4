// Whole programs, forward and backward, several times: memory that ops share, gradients that are summed or shared,
// halos that are cleared.
#include "program/train/program.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <vector>

#include "test/guarded_memory.h"
#include "test/random_program.h"
#include "test/reference_program.h"
#include "test/tensors.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

// Rounding errors relative to the largest value of a run, and the distance of inputs of ReLUs from zero.
constexpr double kTolerance = 5e-6, kGradientTolerance = 5e-5, kMargin = 1e-5;

struct Results {
  reference::Values output, state, grad_input, gradients;
};

void check_identical(const Results& received, const Results& expected, const std::string& where) {
  CHECK_VALUES(received.output, expected.output, 0.0, where);
  CHECK_VALUES(received.state, expected.state, 0.0, where);
  CHECK_VALUES(received.grad_input, expected.grad_input, 0.0, where);
  CHECK_VALUES(received.gradients, expected.gradients, 0.0, where);
}

// One forward and, in programs with gradients, one backward. All arrays end or begin at a guard page.
Results run(Program& program, Rng& rng, const reference::Tensor& input, const reference::Values& state,
            const reference::Tensor& grad_output, const reference::Values& gradients_before) {
  GuardedMemory memory(rng);
  float *state_data = memory.floats(state), *output = memory.floats(grad_output.data.size());
  program.forward(memory.floats(input.data), state_data, output);
  Results results{read(output, grad_output.data.size()), read(state_data, state.size()), {}, {}};
  if (!program.spec().gradients) return results;
  float* gradients = memory.floats(gradients_before);
  float* grad_input = program.spec().input_gradient ? memory.floats(input.data.size()) : nullptr;
  program.backward(memory.floats(grad_output.data), state_data, gradients, grad_input);
  if (grad_input != nullptr) results.grad_input = read(grad_input, input.data.size());
  results.gradients = read(gradients, gradients_before.size());
  return results;
}

RandomProgram any_program(Rng& rng) {
  return rng.chance(0.8) ? random_program(rng, kOnes, {3, 40, 9, 9})
                         : random_program(rng, kWinogradDims, {2, 48, 18, 18});
}

std::string describe(const RandomProgram& program) {
  return text_of("a program of ", program.spec.nodes.size(), " nodes from ", program.input, " to ", program.output,
                 program.spec.training ? ", training" : ", evaluation");
}

void compare_with_reference(Rng& rng, const RandomProgram& random) {
  std::vector<std::unique_ptr<Program>> programs;
  for (const KernelTable* kernels : float_kernels()) {
    const UseKernels use(*kernels);
    programs.push_back(std::make_unique<Program>(random.spec));
  }
  ReferenceProgram oracle(random.spec);
  reference::Values state = random.state;
  for (int i = 0; i < 3; ++i) {
    const reference::Tensor input = input_off_kinks(rng, random, kMargin);
    const reference::Tensor grad_output = random.random_output_gradient(rng);
    const reference::Values state_before = state, before = random_values(rng, state.size(), Data::kReals);
    reference::Values gradients = before;
    const reference::Tensor output = oracle.forward(input, state);
    const reference::Tensor grad_input = oracle.backward(grad_output, state, gradients);
    for (std::size_t isa = 0; isa < programs.size(); ++isa) {
      const UseKernels use(*float_kernels()[isa]);
      const Results received = run(*programs[isa], rng, input, state_before, grad_output, before);
      const std::string where = text_of(describe(random), ", ", float_kernels()[isa]->isa, ", run ", i);
      CHECK_VALUES(received.output, output.data, kTolerance * oracle.largest_value(), where);
      CHECK_VALUES(received.state, state, kTolerance * oracle.largest_value() * oracle.largest_value(), where);
      CHECK_VALUES(received.grad_input, grad_input.data, kGradientTolerance * oracle.largest_gradient(), where);
      CHECK_VALUES(received.gradients, gradients, kGradientTolerance * oracle.largest_gradient(), where);
    }
    for (double& value : state) value = static_cast<double>(static_cast<float>(value));
  }
}

TEST(program_equals_reference) {
  test.repeat(
      500, [](Rng& rng) { compare_with_reference(rng, random_program_off_kinks(rng, kOnes, {3, 24, 8, 8}, kMargin)); });
}

TEST(program_equals_reference_on_winograd) {
  test.repeat(12, [](Rng& rng) {
    compare_with_reference(rng, random_program_off_kinks(rng, kWinogradDims, {2, 48, 18, 18}, kMargin));
  });
}

// A run on NaN leaves no NaN in halos, padding lanes or workspaces.
TEST(program_forgets_nan) {
  test.repeat(500, [](Rng& rng) {
    RandomProgram random = any_program(rng);
    random.spec.gradients = rng.chance(0.7);
    const auto all_nan = [](std::size_t count) {
      return reference::Values(count, std::numeric_limits<double>::quiet_NaN());
    };
    const reference::Tensor input = random.random_input(rng), grad_output = random.random_output_gradient(rng);
    const reference::Values zeros(random.state.size(), 0.0);
    for (const KernelTable* kernels : float_kernels()) {
      const UseKernels use(*kernels);
      Program fresh(random.spec), poisoned(random.spec);
      const Results expected = run(fresh, rng, input, random.state, grad_output, zeros);
      run(poisoned, rng, {random.input, all_nan(input.data.size())}, all_nan(random.state.size()),
          {random.output, all_nan(grad_output.data.size())}, all_nan(random.state.size()));
      const Results received = run(poisoned, rng, input, random.state, grad_output, zeros);
      check_identical(received, expected, text_of(describe(random), ", ", kernels->isa));
    }
  });
}

// Without gradients, or that of the input, more memory is shared, but the numbers are the same.
TEST(program_without_gradients) {
  // Places are found one after the other, so a program may take a little more memory for less.
  std::size_t with_bytes = 0, parameters_bytes = 0;
  test.repeat(500, [&](Rng& rng) {
    RandomProgram random = any_program(rng);
    const reference::Tensor input = random.random_input(rng), grad_output = random.random_output_gradient(rng);
    const reference::Values zeros(random.state.size(), 0.0);
    Program with(random.spec);
    random.spec.input_gradient = false;
    Program parameters(random.spec);
    random.spec.gradients = false;
    Program without(random.spec);
    CHECK(without.memory_bytes() <= with.memory_bytes(), describe(random));
    with_bytes += with.memory_bytes();
    parameters_bytes += parameters.memory_bytes();
    const Results expected = run(with, rng, input, random.state, grad_output, zeros);
    for (int i = 0; i < 2; ++i) {
      Results of_parameters = run(parameters, rng, input, random.state, grad_output, zeros);
      of_parameters.grad_input = expected.grad_input;
      check_identical(of_parameters, expected, describe(random));
      const Results received = run(without, rng, input, random.state, grad_output, zeros);
      CHECK_VALUES(received.output, expected.output, 0.0, describe(random));
      CHECK_VALUES(received.state, expected.state, 0.0, describe(random));
    }
  });
  CHECK(parameters_bytes <= with_bytes + with_bytes / 20, parameters_bytes, " and ", with_bytes, " bytes");
}

TEST(program_on_any_number_of_threads) {
  test.repeat(60, [](Rng& rng) {
    RandomProgram random = random_program(rng, rng.chance(0.5) ? kOnes : kWinogradDims, {3, 64, 40, 40});
    const reference::Tensor input = random.random_input(rng), grad_output = random.random_output_gradient(rng);
    const reference::Values zeros(random.state.size(), 0.0);
    random.spec.threads = 1;
    Program serial(random.spec);
    const Results expected = run(serial, rng, input, random.state, grad_output, zeros);
    for (int threads : {2, 3, 7}) {
      random.spec.threads = threads;
      Program program(random.spec);
      for (int i = 0; i < 2; ++i)
        check_identical(run(program, rng, input, random.state, grad_output, zeros), expected,
                        text_of(describe(random), ", ", threads, " threads"));
    }
  });
}

TEST(program_backward_needs_a_forward) {
  test.repeat(20, [](Rng& rng) {
    RandomProgram random = random_program(rng, kOnes, {1, 4, 4, 4});
    GuardedMemory memory(rng);
    float *input = memory.floats(random.random_input(rng).data), *state = memory.floats(random.state),
          *output = memory.floats(random.random_output_gradient(rng).data),
          *gradients = memory.floats(reference::Values(random.state.size(), 0.0));
    Program program(random.spec);
    const auto backward = [&] { program.backward(output, state, gradients, input); };
    CHECK_EQUAL(code_of(backward), code::kInvalidState, "before the first forward");
    program.forward(input, state, output);
    CHECK_EQUAL(code_of(backward), "no error", "after a forward");
    CHECK_EQUAL(code_of(backward), code::kInvalidState, "twice after one forward");
    random.spec.gradients = false;
    Program inference(random.spec);
    inference.forward(input, state, output);
    CHECK_EQUAL(code_of([&] { inference.backward(output, state, gradients, input); }), code::kInvalidState,
                "in a program without gradients");
  });
}

}  // namespace
}  // namespace qarepvgg::test
