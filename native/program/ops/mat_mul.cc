// matMul: [a, b], floats; matrices in the last two dims, other dims are broadcast. A vector is a row on the left and a
// column on the right, as in NumPy.
#include <algorithm>

#include "kernels/dispatch.h"
#include "program/ops/strided.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

struct Product {
  std::size_t batch, rows, depth, columns;
  std::vector<std::size_t> a, b;  // for each product of the batch, the matrix of each operand
};

class MatMulStep final : public Step {
 public:
  MatMulStep(Product product, std::size_t members)
      : Step({product.batch * product.rows, members,
              static_cast<double>(product.batch * product.rows) * static_cast<double>(product.depth * product.columns) /
                  kPieceMacs}),
        product_(std::move(product)) {}

 private:
  // Multiply-adds of a piece, so that pieces take about the right time.
  static constexpr double kPieceMacs = 5e5;

  // A row of the output is a sum of rows of b.
  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    const auto& [batch, rows, depth, columns, from_a, from_b] = product_;
    const TensorKernels& kernels = *active_kernels().tensor;
    for (std::size_t line = items.first; line < items.first + items.length; ++line) {
      const float* a = at.input(0) + (from_a[line / rows] * rows + line % rows) * depth;
      const float* b = at.input(1) + from_b[line / rows] * depth * columns;
      float* y = at.output() + line * columns;
      std::fill_n(y, columns, 0.0f);
      for (std::size_t k = 0; k < depth; ++k, b += columns) kernels.pixel_add({b, 0}, 1, columns, a[k], y, 0);
    }
  }

  Product product_;
};

class MatMulOp final : public Op {
 public:
  explicit MatMulOp(const OpContext& context) {
    context.expect_inputs(2, 2);
    Dims a = context.floats(0).dims(), b = context.floats(1).dims();
    if (a.empty() || b.empty()) fail(code::kShape, "expected operands of at least one dim");
    const bool row = a.size() == 1, column = b.size() == 1;
    if (row) a.insert(a.begin(), 1);
    if (column) b.push_back(1);
    product_.rows = a[a.size() - 2];
    product_.depth = a.back();
    product_.columns = b.back();
    if (b[b.size() - 2] != product_.depth)
      fail(code::kShape, "expected matrices that can be multiplied, received ", text_of(a), " and ", text_of(b));
    a.resize(a.size() - 2);
    b.resize(b.size() - 2);
    dims_ = broadcast_dims(a, b);
    product_.batch = elements_of(dims_);
    const StridedLoop loop(dims_, {broadcast_strides(a, dims_), broadcast_strides(b, dims_), strides_of(dims_)});
    for (std::size_t i = 0; i < loop.runs(); ++i) {
      const StridedLoop::Run run = loop.run(i);
      for (std::size_t j = 0; j < run.count; ++j) {
        product_.a.push_back(static_cast<std::size_t>(loop.offset(0, run) + signed_size(j) * loop.stride(0)));
        product_.b.push_back(static_cast<std::size_t>(loop.offset(1, run) + signed_size(j) * loop.stride(1)));
      }
    }
    if (!row) dims_.push_back(product_.rows);
    if (!column) dims_.push_back(product_.columns);
    elements_of(dims_);
  }
  Access access(std::size_t) const override { return Access::kPlain; }
  std::vector<ValueType> outputs() const override { return {{{Dtype::kFloat32, dims_}, Layout::kPlain, 0}}; }
  double macs() const override {
    return static_cast<double>(product_.batch * product_.rows) * static_cast<double>(product_.depth * product_.columns);
  }
  std::unique_ptr<Step> plan(const std::vector<ValueType>&, const std::vector<ValueType>&,
                             std::size_t members) const override {
    return std::make_unique<MatMulStep>(product_, members);
  }

 private:
  Product product_{};
  Dims dims_;
};

}  // namespace

std::unique_ptr<Op> make_mat_mul(const OpContext& context) { return std::make_unique<MatMulOp>(context); }

}  // namespace qarepvgg
