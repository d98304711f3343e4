// Ops over the lines of an axis of plain tensors. softmax: [x]; axis, log. reduce: [x]; kind, axes, keepDims. argMax:
// [x]; axis, keepDims, min, last. topK: [x]; axis, k, largest. cumSum: [x]; axis, exclusive, reverse.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <type_traits>

#include "kernels/dispatch.h"
#include "program/ops/dispatch_type.h"
#include "program/ops/strided.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

// The lines of one axis: line i begins at first(i), and its elements are `step` apart.
struct Lines {
  std::size_t count = 0, length = 0, step = 1;

  Lines(const Dims& dims, std::size_t axis) : length(dims[axis]) {
    std::size_t outer = 1;
    for (std::size_t i = 0; i < axis; ++i) outer *= dims[i];
    for (std::size_t i = axis + 1; i < dims.size(); ++i) step *= dims[i];
    count = outer * step;
  }
  std::size_t first(std::size_t line) const { return first(line, length); }
  // Beginning of the same line in a tensor whose axis has another length.
  std::size_t first(std::size_t line, std::size_t other_length) const {
    return line / step * step * other_length + line % step;
  }
};

std::size_t axis_of(const OpContext& context) {
  context.expect_inputs(1, 1);
  const Dims& dims = context.inputs[0].dims();
  const std::size_t axis = context.attributes().size("axis");
  if (axis >= dims.size()) fail(code::kInvalidArg, "expected an axis below ", dims.size(), ", received ", axis);
  return axis;
}

// A step that computes line by line.
template <class Line>
class LineStep final : public Step {
 public:
  LineStep(const Lines& lines, std::size_t members, std::size_t scratch, Line line)
      : Step({lines.count, members, 8 * bytes_size(lines.count * lines.length * sizeof(float))}),
        scratch_(scratch),
        line_(std::move(line)) {}
  std::size_t scratch_bytes() const override { return scratch_; }

 private:
  void run_items(const Operands& at, std::byte* scratch, const Tile& items, bool) const override {
    for (std::size_t line = items.first; line < items.first + items.length; ++line) line_(at, line, scratch);
  }

  std::size_t scratch_;
  Line line_;
};

template <class Line>
std::unique_ptr<Step> make_line_step(const Lines& lines, std::size_t members, std::size_t scratch, Line line) {
  return std::make_unique<LineStep<Line>>(lines, members, scratch, std::move(line));
}

// An op with one plain operand and these outputs, whose step is made by `make`.
template <class Make>
class LineOp final : public Op {
 public:
  LineOp(std::vector<TensorType> results, Make make) : make_(std::move(make)) {
    for (TensorType& result : results) results_.push_back({std::move(result), Layout::kPlain, 0});
  }
  Access access(std::size_t input) const override { return input == 0 ? Access::kPlain : Access::kNone; }
  std::vector<ValueType> outputs() const override { return results_; }
  std::unique_ptr<Step> plan(const std::vector<ValueType>&, const std::vector<ValueType>&,
                             std::size_t members) const override {
    return make_(members);
  }

 private:
  std::vector<ValueType> results_;
  Make make_;
};

template <class Make>
std::unique_ptr<Op> make_line_op(std::vector<TensorType> results, Make make) {
  return std::make_unique<LineOp<Make>>(std::move(results), std::move(make));
}

// ---- reduce ------------------------------------------------------------------------------------------------------

enum class Reduction { kMean, kSum, kMax, kMin, kProd, kL1, kL2, kSumSquare, kLogSum, kLogSumExp };

struct Named {
  const char* name;
  Reduction kind;
};
constexpr Named kReductions[]{{"mean", Reduction::kMean},     {"sum", Reduction::kSum},
                              {"max", Reduction::kMax},       {"min", Reduction::kMin},
                              {"prod", Reduction::kProd},     {"l1", Reduction::kL1},
                              {"l2", Reduction::kL2},         {"sumSquare", Reduction::kSumSquare},
                              {"logSum", Reduction::kLogSum}, {"logSumExp", Reduction::kLogSumExp}};

Reduction reduction_of(const std::string& name) {
  for (const Named& named : kReductions)
    if (name == named.name) return named.kind;
  fail(code::kInvalidArg, "expected a reduction, received '", name, "'");
}

bool is_sum(Reduction kind) {
  return kind != Reduction::kMax && kind != Reduction::kMin && kind != Reduction::kProd &&
         kind != Reduction::kLogSumExp;
}

double of_sum(Reduction kind, double sum, std::size_t count) {
  switch (kind) {
    case Reduction::kMean:
      return sum / static_cast<double>(count);
    case Reduction::kL2:
      return std::sqrt(sum);
    case Reduction::kLogSum:
      return std::log(sum);
    default:
      return sum;
  }
}

// Reduces numbers one by one. Sums are computed in double.
template <class T>
class Accumulator {
 public:
  explicit Accumulator(Reduction kind) : kind_(kind), value_(kind == Reduction::kProd ? 1.0 : 0.0) {
    if (kind == Reduction::kMax) extreme_ = std::numeric_limits<T>::lowest();
    if (kind == Reduction::kMin) extreme_ = std::numeric_limits<T>::max();
    if (std::numeric_limits<T>::has_infinity && kind == Reduction::kMax) extreme_ = -std::numeric_limits<T>::infinity();
    if (std::numeric_limits<T>::has_infinity && kind == Reduction::kMin) extreme_ = std::numeric_limits<T>::infinity();
  }
  void add(T element) {
    const double x = static_cast<double>(element);
    ++count_;
    switch (kind_) {
      case Reduction::kMax:
        if (!(element <= extreme_)) extreme_ = element;
        return;
      case Reduction::kMin:
        if (!(element >= extreme_)) extreme_ = element;
        return;
      case Reduction::kProd:
        value_ *= x;
        return;
      case Reduction::kL1:
        value_ += std::fabs(x);
        return;
      case Reduction::kL2:
      case Reduction::kSumSquare:
        value_ += x * x;
        return;
      case Reduction::kLogSumExp:
        if (x > shift_) {
          value_ = value_ * std::exp(shift_ - x) + 1;
          shift_ = x;
        } else {
          value_ += std::isnan(x) ? x : std::exp(x - shift_);
        }
        return;
      default:
        value_ += x;
    }
  }
  T result() const {
    switch (kind_) {
      case Reduction::kMax:
      case Reduction::kMin:
        return extreme_;
      case Reduction::kLogSumExp:
        return static_cast<T>(std::log(value_) + shift_);
      default:
        return static_cast<T>(of_sum(kind_, value_, count_));
    }
  }

 private:
  Reduction kind_;
  double value_, shift_ = -std::numeric_limits<double>::infinity();
  T extreme_{};
  std::size_t count_ = 0;
};

template <class T>
class ReduceStep final : public Step {
 public:
  // kept, reduced: loops over the axes that stay and over those that are reduced; the latter start at the first
  // element.
  ReduceStep(Reduction kind, StridedLoop kept, StridedLoop reduced, std::size_t elements, std::size_t members)
      : Step({kept.runs(), members, 8 * bytes_size(elements * sizeof(T))}),
        kind_(kind),
        kept_(std::move(kept)),
        reduced_(std::move(reduced)) {}

 private:
  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    const T* x = reinterpret_cast<const T*>(at.inputs[0]);
    T* y = reinterpret_cast<T*>(at.outputs[0]);
    kept_.for_each(items, [&](const StridedLoop::Run& run) {
      const T* from = x + kept_.offset(0, run);
      if constexpr (std::is_same_v<T, float>)
        if (is_sum(kind_)) return write_sums(from, run.count, y + run.index);
      for (std::size_t j = 0; j < run.count; ++j, from += kept_.stride(0)) y[run.index + j] = reduced(from);
    });
  }

  void write_sums(const float* from, std::size_t count, float* y) const {
    if (kind_ == Reduction::kL1) return write_sums(from, count, y, [](double x) { return std::fabs(x); });
    if (kind_ == Reduction::kL2 || kind_ == Reduction::kSumSquare)
      return write_sums(from, count, y, [](double x) { return x * x; });
    write_sums(from, count, y, [](double x) { return x; });
  }

  // Several sums at a time if their elements are neighbours, otherwise parts of one: additions wait for each other.
  template <class Term>
  void write_sums(const float* from, std::size_t count, float* y, const Term& term) const {
    const bool are_neighbours = kept_.stride(0) == 1;
    for (std::size_t first = 0, together; first < count;
         first += together, from += kept_.stride(0) * signed_size(together)) {
      together = are_neighbours ? std::min(count - first, kSums) : 1;
      double sums[kSums]{};
      std::size_t terms = 0;
      for (std::size_t i = 0; i < reduced_.runs(); ++i) {
        const StridedLoop::Run run = reduced_.run(i);
        const float* x = from + reduced_.offset(0, run);
        terms += run.count;
        if (together > 1)
          for (std::size_t j = 0; j < run.count; ++j, x += reduced_.stride(0))
            for (std::size_t k = 0; k < together; ++k) sums[k] += term(static_cast<double>(x[k]));
        else
          add_parts(x, run.count, term, sums);
      }
      if (together == 1) sums[0] = std::accumulate(sums, sums + kSums, 0.0);
      for (std::size_t k = 0; k < together; ++k) y[first + k] = static_cast<float>(of_sum(kind_, sums[k], terms));
    }
  }
  template <class Term>
  void add_parts(const float* x, std::size_t count, const Term& term, double* sums) const {
    const std::ptrdiff_t step = reduced_.stride(0);
    std::size_t j = 0;
    for (; j + kSums <= count; j += kSums, x += signed_size(kSums) * step)
      for (std::size_t k = 0; k < kSums; ++k) sums[k] += term(static_cast<double>(x[signed_size(k) * step]));
    for (std::size_t k = 0; j < count; ++j, ++k) sums[k] += term(static_cast<double>(x[signed_size(k) * step]));
  }

  T reduced(const T* from) const {
    Accumulator<T> sum(kind_);
    for (std::size_t i = 0; i < reduced_.runs(); ++i) {
      const StridedLoop::Run run = reduced_.run(i);
      const T* x = from + reduced_.offset(0, run);
      for (std::size_t j = 0; j < run.count; ++j, x += reduced_.stride(0)) sum.add(*x);
    }
    return sum.result();
  }

  static constexpr std::size_t kSums = 32;

  Reduction kind_;
  StridedLoop kept_, reduced_;
};

// ---- order -------------------------------------------------------------------------------------------------------

// Whether element i comes before j: the larger (or smaller) one does, or the first of equals. NaN counts as the
// largest.
template <class T>
bool comes_before(const T* x, std::size_t step, std::size_t i, std::size_t j, bool largest) {
  const T a = x[i * step], b = x[j * step];
  if (a == b || (a != a && b != b)) return i < j;
  const bool greater = a != a || a > b;
  return largest ? greater : !greater;
}

// Goes along lines that lie next to each other together.
template <class T>
class ArgMaxStep final : public Step {
 public:
  ArgMaxStep(const Lines& lines, bool largest, bool last, std::size_t members)
      : Step({lines.count, members, 4 * bytes_size(lines.count * lines.length * sizeof(T))}),
        lines_(lines),
        largest_(largest),
        last_(last) {}

 private:
  static constexpr std::size_t kTogether = 64;

  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    const std::size_t step = lines_.step;
    for (std::size_t line = items.first, end = items.first + items.length, count; line < end; line += count) {
      count = std::min({end - line, step - line % step, kTogether});
      write(reinterpret_cast<const T*>(at.inputs[0]) + lines_.first(line), count,
            reinterpret_cast<std::int64_t*>(at.outputs[0]) + line);
    }
  }

  void write(const T* x, std::size_t count, std::int64_t* y) const {
    T best[kTogether];
    std::copy_n(x, count, best);
    std::fill_n(y, count, 0);
    for (std::size_t i = 1; i < lines_.length; ++i) {
      x += lines_.step;
      for (std::size_t k = 0; k < count; ++k) {
        if (!replaces(x[k], best[k])) continue;
        best[k] = x[k];
        y[k] = static_cast<std::int64_t>(i);
      }
    }
  }
  // NaN counts as the largest number.
  bool replaces(T next, T best) const {
    if (next == best) return last_;
    if (next != next && best != best) return false;
    return (next != next || next > best) == largest_;
  }

  Lines lines_;
  bool largest_, last_;
};

template <class T>
void write_top(const Operands& at, const Lines& lines, std::size_t line, std::size_t k, bool largest,
               std::byte* scratch) {
  const T* x = reinterpret_cast<const T*>(at.inputs[0]) + lines.first(line);
  auto* order = reinterpret_cast<std::size_t*>(scratch);
  std::iota(order, order + lines.length, std::size_t{0});
  std::partial_sort(order, order + k, order + lines.length,
                    [&](std::size_t i, std::size_t j) { return comes_before(x, lines.step, i, j, largest); });
  const std::size_t first = lines.first(line, k);
  for (std::size_t i = 0; i < k; ++i) {
    reinterpret_cast<T*>(at.outputs[0])[first + i * lines.step] = x[order[i] * lines.step];
    reinterpret_cast<std::int64_t*>(at.outputs[1])[first + i * lines.step] = static_cast<std::int64_t>(order[i]);
  }
}

template <class T>
void write_sums(const Operands& at, const Lines& lines, std::size_t line, bool exclusive, bool reverse) {
  const T* x = reinterpret_cast<const T*>(at.inputs[0]) + lines.first(line);
  T* y = reinterpret_cast<T*>(at.outputs[0]) + lines.first(line);
  T sum = 0;
  for (std::size_t i = 0; i < lines.length; ++i) {
    const std::size_t index = (reverse ? lines.length - 1 - i : i) * lines.step;
    const T next = static_cast<T>(sum + x[index]);
    y[index] = exclusive ? sum : next;
    sum = next;
  }
}

// ---- softmax -----------------------------------------------------------------------------------------------------

// Kernels get rows of numbers: element by element of lines that lie next to each other, or pieces of a single line.
class SoftmaxStep final : public Step {
 public:
  SoftmaxStep(const Lines& lines, bool log, std::size_t members)
      : Step({lines.count, members, 8 * bytes_size(lines.count * lines.length * sizeof(float))}),
        lines_(lines),
        log_(log) {}

 private:
  static constexpr std::size_t kRow = 64;

  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    const std::size_t step = lines_.step;
    for (std::size_t line = items.first, end = items.first + items.length, count; line < end; line += count) {
      count = std::min({end - line, step - line % step, kRow});
      const std::size_t first = lines_.first(line);
      compute(at.input(0) + first, count, at.output() + first);
    }
  }

  // Calls visit(offset, length) for each row of so many lines.
  template <class Visit>
  void for_each_row(std::size_t count, const Visit& visit) const {
    const std::size_t step = lines_.step, end = lines_.length * step;
    if (step > 1)
      for (std::size_t at = 0; at < end; at += step) visit(at, count);
    else
      for (std::size_t at = 0; at < end; at += kRow) visit(at, std::min(end - at, kRow));
  }

  void compute(const float* x, std::size_t count, float* y) const {
    const TensorKernels& kernels = *active_kernels().tensor;
    float most[kRow];
    double sums[kRow]{};
    std::fill_n(most, kRow, -std::numeric_limits<float>::infinity());
    for_each_row(count, [&](std::size_t at, std::size_t length) {
      for (std::size_t j = 0; j < length; ++j) most[j] = std::max(most[j], x[at + j]);
    });
    if (lines_.step == 1) std::fill_n(most, kRow, *std::max_element(most, most + kRow));
    for_each_row(count, [&](std::size_t at, std::size_t length) {
      kernels.binary(Binary::kSub, x + at, false, most, false, length, y + at);
      kernels.unary({Unary::kExp}, y + at, length, y + at);
      for (std::size_t j = 0; j < length; ++j) sums[j] += static_cast<double>(y[at + j]);
    });
    if (lines_.step == 1) sums[0] = std::accumulate(sums, sums + kRow, 0.0);
    if (log_) std::transform(sums, sums + count, sums, [](double sum) { return std::log(sum); });
    if (lines_.step == 1) std::fill_n(sums, kRow, sums[0]);
    for_each_row(count, [&](std::size_t at, std::size_t length) {
      if (log_)
        for (std::size_t j = 0; j < length; ++j) y[at + j] = x[at + j] - most[j] - static_cast<float>(sums[j]);
      else
        for (std::size_t j = 0; j < length; ++j)
          y[at + j] = static_cast<float>(static_cast<double>(y[at + j]) / sums[j]);
    });
  }

  Lines lines_;
  bool log_;
};

}  // namespace

std::unique_ptr<Op> make_softmax(const OpContext& context) {
  const std::size_t axis = axis_of(context);
  const TensorType x = context.floats(0).tensor;
  const bool log = context.attributes().flag("log");
  const Lines lines(x.dims, axis);
  return make_line_op({x},
                      [lines, log](std::size_t members) { return std::make_unique<SoftmaxStep>(lines, log, members); });
}

std::unique_ptr<Op> make_reduce(const OpContext& context) {
  context.expect_inputs(1, 1);
  const TensorType x = context.inputs[0].tensor;
  const Attributes& attributes = context.attributes();
  const Reduction kind = reduction_of(attributes.text("kind"));
  const bool keep = attributes.flag("keepDims");
  std::vector<bool> goes(x.dims.size(), false);
  for (std::size_t axis : attributes.sizes("axes")) {
    if (axis >= goes.size()) fail(code::kInvalidArg, "expected axes below ", goes.size(), ", received ", axis);
    goes[axis] = true;
  }
  const Strides own = strides_of(x.dims);
  Dims dims, kept, reduced;
  Strides kept_strides, reduced_strides;
  for (std::size_t i = 0; i < goes.size(); ++i) {
    (goes[i] ? reduced : kept).push_back(x.dims[i]);
    (goes[i] ? reduced_strides : kept_strides).push_back(own[i]);
    if (!goes[i] || keep) dims.push_back(goes[i] ? 1 : x.dims[i]);
  }
  return make_line_op({{x.type, dims}}, [=](std::size_t members) {
    StridedLoop stays(kept, {kept_strides}), goes_away(reduced, {reduced_strides});
    return with_type(x.type, [&](auto zero) -> std::unique_ptr<Step> {
      return std::make_unique<ReduceStep<decltype(zero)>>(kind, std::move(stays), std::move(goes_away), x.elements(),
                                                          members);
    });
  });
}

std::unique_ptr<Op> make_arg_max(const OpContext& context) {
  const std::size_t axis = axis_of(context);
  const TensorType x = context.inputs[0].tensor;
  const bool smallest = context.attributes().flag("min"), last = context.attributes().flag("last");
  const Lines lines(x.dims, axis);
  if (lines.length == 0) fail(code::kShape, "expected an axis of at least 1, received 0");
  Dims dims = x.dims;
  dims[axis] = 1;
  if (!context.attributes().flag("keepDims")) dims.erase(dims.begin() + signed_size(axis));
  return make_line_op({{Dtype::kInt64, dims}}, [=](std::size_t members) {
    return with_type(x.type, [&](auto zero) -> std::unique_ptr<Step> {
      return std::make_unique<ArgMaxStep<decltype(zero)>>(lines, !smallest, last, members);
    });
  });
}

std::unique_ptr<Op> make_top_k(const OpContext& context) {
  const std::size_t axis = axis_of(context), k = context.attributes().size("k");
  const TensorType x = context.inputs[0].tensor;
  const bool largest = context.attributes().flag("largest");
  const Lines lines(x.dims, axis);
  if (k > lines.length) fail(code::kInvalidArg, "expected k of at most ", lines.length, ", received ", k);
  Dims dims = x.dims;
  dims[axis] = k;
  return make_line_op({{x.type, dims}, {Dtype::kInt64, dims}}, [=](std::size_t members) {
    return with_type(x.type, [&](auto zero) {
      return make_line_step(lines, members, lines.length * sizeof(std::size_t),
                            [=](const Operands& at, std::size_t line, std::byte* scratch) {
                              write_top<decltype(zero)>(at, lines, line, k, largest, scratch);
                            });
    });
  });
}

std::unique_ptr<Op> make_cum_sum(const OpContext& context) {
  const std::size_t axis = axis_of(context);
  const TensorType x = context.inputs[0].tensor;
  const bool exclusive = context.attributes().flag("exclusive"), reverse = context.attributes().flag("reverse");
  const Lines lines(x.dims, axis);
  return make_line_op({x}, [=](std::size_t members) {
    return with_type(x.type, [&](auto zero) {
      return make_line_step(lines, members, 0, [=](const Operands& at, std::size_t line, std::byte*) {
        write_sums<decltype(zero)>(at, lines, line, exclusive, reverse);
      });
    });
  });
}

}  // namespace qarepvgg
