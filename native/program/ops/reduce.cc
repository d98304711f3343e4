// reduce: [x]; kind, axes, keepDims. Over axes of a plain tensor.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <type_traits>

#include "kernels/dispatch.h"
#include "program/ops/dispatch_type.h"
#include "program/ops/lines.h"
#include "program/ops/strided.h"
#include "program/ops/table.h"

namespace qarepvgg {
namespace {

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

// The kernel's part of it.
std::optional<Fold> fold_of(Reduction kind) {
  switch (kind) {
    case Reduction::kL1:
      return Fold::kSumOfAbs;
    case Reduction::kL2:
    case Reduction::kSumSquare:
      return Fold::kSumOfSquares;
    case Reduction::kMax:
      return Fold::kMax;
    case Reduction::kMin:
      return Fold::kMin;
    case Reduction::kProd:
    case Reduction::kLogSumExp:
      return std::nullopt;
    default:
      return Fold::kSum;
  }
}

double start_of(Fold fold) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return fold == Fold::kMax ? -kInfinity : fold == Fold::kMin ? kInfinity : 0;
}

// The result, from what numbers were folded to.
double result_of(Reduction kind, double sum, std::size_t count) {
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
        return static_cast<T>(result_of(kind_, value_, count_));
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
        if (const std::optional<Fold> fold = fold_of(kind_)) {
          if (kept_.stride(0) == 1) return fold_neighbors(*fold, from, run.count, y + run.index);
          if (reduced_.stride(0) == 1) return fold_lines(*fold, from, run.count, y + run.index);
        }
      for (std::size_t j = 0; j < run.count; ++j, from += kept_.stride(0)) y[run.index + j] = reduced(from);
    });
  }

  // Results whose elements lie next to each other, so many at a time.
  void fold_neighbors(Fold fold, const float* from, std::size_t count, float* y) const {
    static constexpr std::size_t kTogether = 128;
    double folded[kTogether];
    for (std::size_t first = 0, together; first < count; first += together) {
      together = std::min(count - first, kTogether);
      std::fill_n(folded, together, start_of(fold));
      std::size_t terms = 0;
      for (std::size_t i = 0; i < reduced_.runs(); ++i) {
        const StridedLoop::Run run = reduced_.run(i);
        const float* x = from + first + reduced_.offset(0, run);
        terms += run.count;
        for (std::size_t j = 0; j < run.count; ++j, x += reduced_.stride(0))
          kernels_->fold_rows(fold, x, together, folded);
      }
      for (std::size_t k = 0; k < together; ++k) y[first + k] = static_cast<float>(result_of(kind_, folded[k], terms));
    }
  }
  // Results whose own elements lie next to each other.
  void fold_lines(Fold fold, const float* from, std::size_t count, float* y) const {
    for (std::size_t k = 0; k < count; ++k, from += kept_.stride(0)) {
      double folded = start_of(fold);
      std::size_t terms = 0;
      for (std::size_t i = 0; i < reduced_.runs(); ++i) {
        const StridedLoop::Run run = reduced_.run(i);
        terms += run.count;
        folded = kernels_->fold_line(fold, from + reduced_.offset(0, run), run.count, folded);
      }
      y[k] = static_cast<float>(result_of(kind_, folded, terms));
    }
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

  Reduction kind_;
  StridedLoop kept_, reduced_;
  const TensorKernels* kernels_ = active_kernels().tensor;
};

}  // namespace

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

}  // namespace qarepvgg
