// matMul: [a, b], floats; transposed; matrices in the last two dims, those of b transposed if the flag is set. Other
// dims are broadcast. A vector is a row on the left and a column on the right, as in NumPy.
#include <algorithm>

#include "kernels/dispatch.h"
#include "ops/numbers.h"
#include "ops/panels.h"
#include "ops/winograd_tiles.h"
#include "program/ops/strided.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

struct Product {
  std::size_t batch, rows, depth, columns;
  bool transposed;                // b is [columns, depth]
  std::vector<std::size_t> a, b;  // for each product of the batch, the matrix of each operand

  double macs() const {
    return static_cast<double>(batch * rows) * static_cast<double>(depth) * static_cast<double>(columns);
  }
};

// For fewer rows, copying b into panels takes longer than computing.
constexpr std::size_t kFewRows = 4;

// A row of the output is a sum of rows of b.
class RowsStep final : public Step {
 public:
  RowsStep(Product product, std::size_t members)
      : Step({product.batch * product.rows, members, product.macs() / kPieceMacs}), product_(std::move(product)) {}

 private:
  // Multiply-adds of a piece, so that pieces take about the right time.
  static constexpr double kPieceMacs = 5e5;

  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    const auto& [batch, rows, depth, columns, transposed, from_a, from_b] = product_;
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

// Computes tiles as a convolution of one tap does, whose pixels are the rows of a. An item is a block of rows times a
// panel of columns of b, which is copied together for them. Long sums are cut, so that a panel stays in the
// second-level cache.
class TilesStep final : public Step {
 public:
  TilesStep(Product product, std::size_t members) : TilesStep(std::move(product), members, active_kernels()) {}

  std::size_t scratch_bytes() const override {
    return kAlignment + std::min(product_.depth, kMostDepth) * panels_.width() * sizeof(float);
  }

 private:
  static constexpr std::size_t kMostDepth = 512, kBlockRows = 128;

  TilesStep(Product product, std::size_t members, const KernelTable& kernels)
      : TilesStep(std::move(product), members, kernels,
                  choose_panels(product.columns, std::min(product.rows, kBlockRows), kernels)) {}
  TilesStep(Product product, std::size_t members, const KernelTable& kernels, const Panels& panels)
      : Step({product.batch * panels.count() * ceil_div(product.rows, kBlockRows), members,
              product.macs() / FloatNumbers::kPieceMacs}),
        product_(std::move(product)),
        kernels_(&kernels),
        panels_(panels) {}

  void run_items(const Operands& at, std::byte* scratch, const Tile& items, bool first) const override {
    HeldBlock held(scratch, first);
    auto* panel = reinterpret_cast<float*>(scratch + kAlignment);
    const std::size_t blocks = ceil_div(product_.rows, kBlockRows), depths = ceil_div(product_.depth, kMostDepth);
    for (std::size_t item = items.first; item < items.first + items.length; ++item) {
      const std::size_t product = item / blocks / panels_.count(), number = item / blocks % panels_.count();
      const Tile rows = even_tile(product_.rows, blocks, item % blocks);
      for (std::size_t i = 0; i < depths; ++i) {
        const Tile depth = even_tile(product_.depth, depths, i);
        const float* b = at.input(1) + product_.b[product] * product_.depth * product_.columns;
        // Neighbouring items have the same panel.
        const bool is_held = held.is((product_.b[product] * panels_.count() + number) * depths + i);
        const float* weights = panel;
        if (panels_.width() == product_.columns && !product_.transposed)
          weights = b + depth.first * product_.columns;
        else if (!is_held)
          copy(b, number, depth, panel);
        multiply(at, product, number, rows, depth, weights);
      }
    }
  }

  // Into [depth][lane].
  void copy(const float* b, std::size_t number, const Tile& depth, float* panel) const {
    const std::size_t valid = panels_.valid(number), width = panels_.panel_width(number);
    const std::size_t first = number * panels_.width();
    if (product_.transposed)
      kernels_->transpose(b + first * product_.depth + depth.first, signed_size(product_.depth), valid, depth.length,
                          panel, signed_size(width));
    for (std::size_t k = 0; k < depth.length; ++k) {
      float* row = panel + k * width;
      if (!product_.transposed) std::copy_n(b + (depth.first + k) * product_.columns + first, valid, row);
      std::fill(row + valid, row + width, 0.0f);
    }
  }

  void multiply(const Operands& at, std::size_t product, std::size_t number, const Tile& rows, const Tile& depth,
                const float* weights) const {
    static constexpr std::ptrdiff_t kNoOffset = 0;
    const int vectors = panels_.panel_vectors(number);
    const auto longest = static_cast<std::size_t>(kernels_->max_rows[vectors - 1]);
    const float* a = at.input(0) + product_.a[product] * product_.rows * product_.depth + depth.first;
    float* y = at.output() + product * product_.rows * product_.columns + number * panels_.width();
    ConvTile tile{};
    tile.input_pixel = signed_size(product_.depth);
    tile.taps = &kNoOffset;
    tile.tap_count = 1;
    tile.steps = depth.length;
    tile.weights = weights;
    tile.out_pixel = tile.addend_pixel = signed_size(product_.columns);
    tile.valid = panels_.valid(number);
    const EvenTiles tiles(rows.length, ceil_div(rows.length, longest));
    for (std::size_t i = 0; i < tiles.count; ++i) {
      const Tile part = tiles[i];
      tile.input = a + (rows.first + part.first) * product_.depth;
      tile.out = y + (rows.first + part.first) * product_.columns;
      if (depth.first > 0) tile.addend = tile.out;
      kernels_->conv[vectors - 1][part.length - 1](tile);
    }
  }

  Product product_;
  const KernelTable* kernels_;
  Panels panels_;
};

class MatMulOp final : public Op {
 public:
  explicit MatMulOp(const OpContext& context) {
    context.expect_inputs(2, 2);
    Dims a = context.floats(0).dims(), b = context.floats(1).dims();
    if (a.empty() || b.empty()) fail(code::kShape, "expected operands of at least one dim");
    product_.transposed = context.attributes().flag("transposed");
    if (product_.transposed && b.size() < 2) fail(code::kShape, "expected a matrix to be transposed");
    if (product_.transposed) std::swap(b[b.size() - 2], b[b.size() - 1]);
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
  double macs() const override { return product_.macs(); }
  std::unique_ptr<Step> plan(const std::vector<ValueType>&, const std::vector<ValueType>&,
                             std::size_t members) const override {
    const bool is_empty = product_.depth == 0 || product_.columns == 0;
    if (is_empty || (product_.rows < kFewRows && !product_.transposed))
      return std::make_unique<RowsStep>(product_, members);
    return std::make_unique<TilesStep>(product_, members);
  }

 private:
  Product product_{};
  Dims dims_;
};

}  // namespace

std::unique_ptr<Op> make_mat_mul(const OpContext& context) { return std::make_unique<MatMulOp>(context); }

}  // namespace qarepvgg
