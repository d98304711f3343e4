// The reference's gradients against central differences of its own forward pass. Other tests compare the native
// gradients with the reference's.
#include <algorithm>
#include <cmath>

#include "reference/elementwise.h"
#include "test/random_program.h"
#include "test/reference_program.h"
#include "test/tensors.h"

namespace qarepvgg::test {
namespace {

constexpr double kStep = 1e-7, kMargin = 1e-4;

TEST(reference_gradients_equal_central_differences) {
  test.repeat(250, [](Rng& rng) {
    const RandomProgram program = random_program_off_kinks(rng, kOnes, {2, 6, 5, 5}, kMargin);
    const reference::Tensor input = input_off_kinks(rng, program, kMargin);
    const reference::Tensor grad_output = program.random_output_gradient(rng);

    // The loss whose gradient with respect to the output is grad_output.
    const auto loss = [&](const reference::Tensor& x, reference::Values state) {
      ReferenceProgram run(program.spec);
      return reference::dot(run.forward(x, state), grad_output);
    };
    const auto difference = [&](const reference::Values& values, std::size_t i, const auto& loss_of) {
      reference::Values changed = values;
      changed[i] = values[i] + kStep;
      const double above = loss_of(changed);
      changed[i] = values[i] - kStep;
      return (above - loss_of(changed)) / (2 * kStep);
    };

    ReferenceProgram run(program.spec);
    reference::Values state = program.state, gradients(state.size());
    run.forward(input, state);
    const reference::Tensor grad_input = run.backward(grad_output, state, gradients);
    const double tolerance = 1e-6 * std::max({1.0, largest(grad_input.data), largest(gradients)});

    for (std::size_t i = 0; i < input.data.size(); i += rng.between(1, 1 + input.data.size() / 4)) {
      const double expected =
          difference(input.data, i, [&](const reference::Values& x) { return loss({input.dims, x}, program.state); });
      CHECK(std::abs(grad_input.data[i] - expected) <= tolerance, "input ", i, ": received ", grad_input.data[i],
            ", expected ", expected);
    }
    for (std::size_t i = 0; i < state.size(); i += rng.between(1, 1 + state.size() / 20)) {
      if (!program.trainable[i]) continue;
      const double expected =
          difference(program.state, i, [&](const reference::Values& changed) { return loss(input, changed); });
      CHECK(std::abs(gradients[i] - expected) <= tolerance, "parameter ", i, ": received ", gradients[i], ", expected ",
            expected);
    }
  });
}

}  // namespace
}  // namespace qarepvgg::test
