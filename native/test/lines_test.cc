// Products of matrices, softmax and reductions of plain tensors against plain loops in double, on every instruction set
// and for any size of team.
#include <algorithm>
#include <cmath>
#include <limits>

#include "test/graph_maker.h"
#include "test/harness.h"
#include "test/use_kernels.h"

namespace qarepvgg::test {
namespace {

// Runs a graph of one node with each table of kernels on 1 to 3 threads, which must give the same bits.
template <class Make>
void check_node(const Make& make, const std::vector<Floats>& inputs, const std::vector<double>& expected,
                double tolerance) {
  for (const KernelTable* kernels : float_kernels()) {
    const UseKernels use(*kernels);
    Floats first;
    for (int threads : {1, 2, 3}) {
      Maker maker = make();
      maker.spec.threads = threads;
      GraphProgram program(maker.finish());
      const Floats y = run(program, inputs);
      if (first.empty()) {
        first = y;
        for (std::size_t i = 0; i < y.size(); ++i)
          CHECK(std::fabs(static_cast<double>(y[i]) - expected[i]) <= tolerance, kernels->isa, ", ", i, ": ", y[i],
                ", expected ", expected[i]);
      }
      CHECK(y == first, kernels->isa, ", ", threads, " threads");
    }
  }
}

TEST(products_of_matrices) {
  test.repeat(200, [](Rng& rng) {
    // Few rows, blocks of rows, panels and parts of a sum: each is sometimes cut.
    const auto draw = [&](std::size_t most) { return rng.between(1, rng.chance(0.7) ? 40 : most); };
    const std::size_t batch = rng.between(1, 3), rows = draw(300), depth = draw(1200), columns = draw(200);
    const bool shares_b = rng.chance(0.3), transposed = rng.chance(0.5);
    const std::size_t matrices = shares_b ? 1 : batch;
    const Floats a = random_floats(rng, batch * rows * depth), b = random_floats(rng, matrices * depth * columns);
    std::vector<double> expected(batch * rows * columns);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const std::size_t column = i % columns, row = i / columns, matrix = shares_b ? 0 : row / rows;
      const float* from = &b[matrix * depth * columns];
      for (std::size_t k = 0; k < depth; ++k)
        expected[i] += static_cast<double>(a[row * depth + k]) *
                       static_cast<double>(from[transposed ? column * depth + k : k * columns + column]);
    }
    const auto make = [&] {
      Maker maker;
      maker.input({batch, rows, depth});
      maker.input(transposed ? Dims{matrices, columns, depth} : Dims{matrices, depth, columns});
      Attributes attributes;
      attributes.set("transposed", transposed ? 1.0 : 0.0);
      maker.spec.outputs = {maker.node("matMul", {0, 1}, {batch, rows, columns}, attributes)};
      return maker;
    };
    check_node(make, {a, b}, expected, 1e-7 * static_cast<double>(depth) + 1e-6);
  });
}

TEST(softmax_of_lines) {
  test.repeat(200, [](Rng& rng) {
    const std::size_t outer = rng.between(1, 5), length = rng.between(1, 300),
                      step = rng.chance(0.5) ? 1 : rng.between(2, 90);
    const bool log = rng.chance(0.3);
    Floats x = random_floats(rng, outer * length * step);
    for (float& value : x) value *= 20;
    std::vector<double> expected(x.size());
    for (std::size_t line = 0; line < outer * step; ++line) {
      const std::size_t first = line / step * step * length + line % step;
      double most = -HUGE_VAL, sum = 0;
      for (std::size_t i = 0; i < length; ++i) most = std::max(most, static_cast<double>(x[first + i * step]));
      for (std::size_t i = 0; i < length; ++i) sum += std::exp(static_cast<double>(x[first + i * step]) - most);
      for (std::size_t i = 0; i < length; ++i) {
        const double rest = static_cast<double>(x[first + i * step]) - most;
        expected[first + i * step] = log ? rest - std::log(sum) : std::exp(rest) / sum;
      }
    }
    const auto make = [&] {
      Maker maker;
      maker.input({outer, length, step});
      Attributes attributes;
      attributes.set("axis", 1.0);
      attributes.set("log", log ? 1.0 : 0.0);
      maker.spec.outputs = {maker.node("softmax", {0}, {outer, length, step}, attributes)};
      return maker;
    };
    check_node(make, {x}, expected, log ? 1e-5 : 1e-6);
  });
}

// Numbers that softmax makes zero, and those that it cannot make sense of.
TEST(softmax_of_special_values) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const KernelTable* kernels : float_kernels())
    for (std::size_t length = 1; length < 70; ++length) {
      const auto softmax = [&](std::size_t special, float value) {
        Floats x(length, 1.0f), y(length);
        x[special] = value;
        kernels->softmax(x.data(), length, y.data(), nullptr);
        return y;
      };
      for (std::size_t i = 0; i < length; ++i) {
        const float rest = length == 1 ? 1.0f : 1 / static_cast<float>(length - 1);
        for (float low : {-kInfinity, -1e30f, -1000.0f, -87.5f})
          if (length > 1) {
            const Floats y = softmax(i, low);
            for (std::size_t j = 0; j < length; ++j)
              CHECK(std::fabs(y[j] - (j == i ? 0 : rest)) <= (j == i ? 0 : 1e-6f), kernels->isa, ", ", low, " at ", i,
                    " of ", length, ": ", y[j]);
          }
        for (float value : {kInfinity, std::numeric_limits<float>::quiet_NaN()})
          CHECK(std::isnan(softmax(i, value)[i]), kernels->isa, ", ", value, " at ", i, " of ", length);
      }
    }
}

TEST(reductions_of_lines) {
  struct Kind {
    const char* name;
    double start;
    double (*fold)(double, double);
    double (*result)(double, double);
  };
  const auto plain = [](double sum, double) { return sum; };
  const Kind kinds[]{
      {"sum", 0, [](double a, double b) { return a + b; }, plain},
      {"mean", 0, [](double a, double b) { return a + b; }, [](double sum, double count) { return sum / count; }},
      {"l1", 0, [](double a, double b) { return a + std::fabs(b); }, plain},
      {"l2", 0, [](double a, double b) { return a + b * b; }, [](double sum, double) { return std::sqrt(sum); }},
      {"max", -HUGE_VAL, [](double a, double b) { return std::max(a, b); }, plain},
      {"min", HUGE_VAL, [](double a, double b) { return std::min(a, b); }, plain},
      {"prod", 1, [](double a, double b) { return a * b; }, plain},
  };
  test.repeat(200, [&](Rng& rng) {
    const std::size_t outer = rng.between(1, 5), length = rng.between(1, 100),
                      step = rng.chance(0.5) ? 1 : rng.between(2, 300);
    const Kind& kind = rng.pick(kinds);
    const Floats x = random_floats(rng, outer * length * step);
    std::vector<double> expected(outer * step, kind.start);
    for (std::size_t i = 0; i < x.size(); ++i) {
      double& folded = expected[i / (length * step) * step + i % step];
      folded = kind.fold(folded, static_cast<double>(x[i]));
    }
    for (double& folded : expected) folded = kind.result(folded, static_cast<double>(length));
    const auto make = [&] {
      Maker maker;
      maker.input({outer, length, step});
      Attributes attributes;
      attributes.set("kind", kind.name);
      attributes.set("axes", std::vector<double>{1});
      attributes.set("keepDims", 1.0);
      maker.spec.outputs = {maker.node("reduce", {0}, {outer, 1, step}, attributes)};
      return maker;
    };
    check_node(make, {x}, expected, 1e-5);
  });
}

}  // namespace
}  // namespace qarepvgg::test
