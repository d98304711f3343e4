// binary: [a, b], broadcast as in NumPy; kind. Takes maps (map_binary.h) or plain tensors.
#include <cmath>
#include <functional>
#include <type_traits>

#include "kernels/dispatch.h"
#include "program/ops/dispatch_type.h"
#include "program/ops/map_binary.h"
#include "program/ops/strided.h"
#include "program/ops/table.h"
#include "program/ops/unary.h"

namespace qarepvgg {
namespace {

enum class Kind {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMin,
  kMax,
  kPrelu,
  kPow,
  kMod,
  kFmod,
  kEqual,
  kGreater,
  kGreaterOrEqual,
  kLess,
  kLessOrEqual,
  kAnd,
  kOr,
  kXor
};

struct Named {
  const char* name;
  Kind kind;
};
constexpr Named kKinds[]{{"add", Kind::kAdd},
                         {"sub", Kind::kSub},
                         {"mul", Kind::kMul},
                         {"div", Kind::kDiv},
                         {"min", Kind::kMin},
                         {"max", Kind::kMax},
                         {"prelu", Kind::kPrelu},
                         {"pow", Kind::kPow},
                         {"mod", Kind::kMod},
                         {"fmod", Kind::kFmod},
                         {"equal", Kind::kEqual},
                         {"greater", Kind::kGreater},
                         {"greaterOrEqual", Kind::kGreaterOrEqual},
                         {"less", Kind::kLess},
                         {"lessOrEqual", Kind::kLessOrEqual},
                         {"and", Kind::kAnd},
                         {"or", Kind::kOr},
                         {"xor", Kind::kXor}};

Kind kind_of(const std::string& name) {
  for (const Named& named : kKinds)
    if (name == named.name) return named.kind;
  fail(code::kInvalidArg, "expected a function of two numbers, received '", name, "'");
}

bool has_kernel(Kind kind) { return kind <= Kind::kPrelu; }
bool is_predicate(Kind kind) { return kind >= Kind::kEqual; }
Binary kernel_of(Kind kind) { return static_cast<Binary>(kind); }
static_assert(static_cast<int>(Kind::kAdd) == static_cast<int>(Binary::kAdd) &&
              static_cast<int>(Kind::kPrelu) == static_cast<int>(Binary::kPrelu));

template <class T>
T power(T a, T b) {
  return static_cast<T>(std::pow(static_cast<double>(a), static_cast<double>(b)));
}

// Whole numbers: the sign is that of the divisor (Python), or with fmod that of the dividend (C). Dividing by zero
// gives zero.
template <class T>
T remainder_of(Kind kind, T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    const T r = std::fmod(a, b);
    return kind == Kind::kMod && r != 0 && (r < 0) != (b < 0) ? r + b : r;
  } else {
    if (b == 0) return 0;
    if (std::is_signed_v<T> && b == static_cast<T>(-1)) return 0;
    const T r = static_cast<T>(a % b);
    return kind == Kind::kMod && r != 0 && (r < 0) != (b < 0) ? static_cast<T>(r + b) : r;
  }
}

// Whole numbers wrap around, as in other runtimes.
template <class T, class F>
T wrapping(T a, T b, const F& f) {
  if constexpr (std::is_floating_point_v<T>) {
    return f(a, b);
  } else {
    using U = std::make_unsigned_t<std::conditional_t<sizeof(T) < sizeof(int), int, T>>;
    return static_cast<T>(f(static_cast<U>(a), static_cast<U>(b)));
  }
}

template <class T>
T divide(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return a / b;
  if (b == 0) return 0;
  if (std::is_signed_v<T> && b == static_cast<T>(-1)) return wrapping(T{0}, a, std::minus<>());
  return static_cast<T>(a / b);
}

template <class T>
T evaluate(Kind kind, T a, T b) {
  switch (kind) {
    case Kind::kAdd:
      return wrapping(a, b, std::plus<>());
    case Kind::kSub:
      return wrapping(a, b, std::minus<>());
    case Kind::kMul:
      return wrapping(a, b, std::multiplies<>());
    case Kind::kDiv:
      return divide(a, b);
    case Kind::kMin:
      return a < b || a != a ? a : b;
    case Kind::kMax:
      return a > b || a != a ? a : b;
    case Kind::kPrelu:
      return a < 0 ? wrapping(a, b, std::multiplies<>()) : a;
    case Kind::kPow:
      return power(a, b);
    default:
      return remainder_of(kind, a, b);
  }
}

template <class T>
bool holds(Kind kind, T a, T b) {
  switch (kind) {
    case Kind::kEqual:
      return a == b;
    case Kind::kGreater:
      return a > b;
    case Kind::kGreaterOrEqual:
      return a >= b;
    case Kind::kLess:
      return a < b;
    case Kind::kLessOrEqual:
      return a <= b;
    case Kind::kAnd:
      return a != 0 && b != 0;
    case Kind::kOr:
      return a != 0 || b != 0;
    default:
      return (a != 0) != (b != 0);
  }
}

// ---- on plain tensors --------------------------------------------------------------------------------------------

template <class T>
class PlainStep final : public Step {
 public:
  PlainStep(Kind kind, StridedLoop loop, std::size_t elements, std::optional<UnaryFunction> activation,
            std::size_t members)
      : Step({loop.runs(), members, 2 * bytes_size(elements * sizeof(T))}),
        kind_(kind),
        loop_(std::move(loop)),
        activation_(activation) {}

 private:
  void run_items(const Operands& at, std::byte*, const Tile& items, bool) const override {
    const std::ptrdiff_t line_a = loop_.line_stride(0), line_b = loop_.line_stride(1);
    loop_.for_each_block(items, [&](const StridedLoop::Run& run) {
      const T* a = reinterpret_cast<const T*>(at.inputs[0]) + loop_.offset(0, run);
      const T* b = reinterpret_cast<const T*>(at.inputs[1]) + loop_.offset(1, run);
      if constexpr (std::is_same_v<T, float>)
        if (has_kernel(kind_) && run.count < kShort) return compute_lines(a, b, run, at.output() + run.index);
      for (std::size_t i = 0; i < run.lines; ++i, a += line_a, b += line_b) {
        const std::size_t index = run.index + i * run.count;
        if (is_predicate(kind_))
          test_run(a, b, run.count, reinterpret_cast<std::uint8_t*>(at.outputs[0]) + index);
        else
          compute_run(a, b, run.count, reinterpret_cast<T*>(at.outputs[0]) + index);
      }
    });
  }

  // Lines with few elements: several of each operand are gathered for a call of the kernel.
  static constexpr std::size_t kShort = 32, kGathered = 512;
  void compute_lines(const float* a, const float* b, const StridedLoop::Run& run, float* y) const {
    float from_a[kGathered], from_b[kGathered];
    for (std::size_t first = 0, lines; first < run.lines; first += lines) {
      lines = std::min(run.lines - first, kGathered / run.count);
      const float* p = gather(0, a, first, lines, run.count, from_a);
      const float* q = gather(1, b, first, lines, run.count, from_b);
      const std::size_t count = lines * run.count;
      active_kernels().tensor->binary(kernel_of(kind_), p, false, q, false, count, y);
      if (activation_) apply(*activation_, y, count, y);
      y += count;
    }
  }
  const float* gather(std::size_t operand, const float* x, std::size_t first, std::size_t lines, std::size_t count,
                      float* memory) const {
    const std::ptrdiff_t step = loop_.stride(operand), line = loop_.line_stride(operand);
    x += signed_size(first) * line;
    if (step == 1 && line == signed_size(count)) return x;
    float* next = memory;
    for (std::size_t i = 0; i < lines; ++i, x += line)
      for (std::size_t j = 0; j < count; ++j) *next++ = x[signed_size(j) * step];
    return memory;
  }

  void compute_run(const T* a, const T* b, std::size_t count, T* y) const {
    const std::ptrdiff_t step_a = loop_.stride(0), step_b = loop_.stride(1);
    if constexpr (std::is_same_v<T, float>) {
      // A kernel takes a run and a single number, or two runs.
      if (has_kernel(kind_) && step_a <= 1 && step_b <= 1 && step_a + step_b > 0)
        active_kernels().tensor->binary(kernel_of(kind_), a, step_a == 0, b, step_b == 0, count, y);
      else
        compute_each(a, b, count, y);
      if (activation_) apply(*activation_, y, count, y);
    } else {
      compute_each(a, b, count, y);
    }
  }
  void compute_each(const T* a, const T* b, std::size_t count, T* y) const {
    const std::ptrdiff_t step_a = loop_.stride(0), step_b = loop_.stride(1);
    for (std::size_t i = 0; i < count; ++i, a += step_a, b += step_b) y[i] = evaluate(kind_, *a, *b);
  }
  void test_run(const T* a, const T* b, std::size_t count, std::uint8_t* y) const {
    const std::ptrdiff_t step_a = loop_.stride(0), step_b = loop_.stride(1);
    for (std::size_t i = 0; i < count; ++i, a += step_a, b += step_b) y[i] = holds(kind_, *a, *b);
  }

  Kind kind_;
  StridedLoop loop_;
  std::optional<UnaryFunction> activation_;
};

class PlainBinary final : public Op {
 public:
  explicit PlainBinary(const OpContext& context)
      : kind_(kind_of(context.attributes().text("kind"))),
        type_(context.inputs[0].tensor.type),
        activation_(activation_of(context.attributes())) {
    for (int i : {0, 1}) operands_[i] = context.inputs[static_cast<std::size_t>(i)].dims();
    if (context.inputs[1].tensor.type != type_)
      fail(code::kDtype, "expected operands of one type, received ", name_of(type_), " and ",
           name_of(context.inputs[1].tensor.type));
    dims_ = broadcast_dims(operands_[0], operands_[1]);
  }
  Access access(std::size_t) const override { return Access::kPlain; }
  std::vector<ValueType> outputs() const override {
    return {{{is_predicate(kind_) ? Dtype::kBool : type_, dims_}, Layout::kPlain, 0}};
  }
  bool applies_activation() const override { return type_ == Dtype::kFloat32; }
  std::unique_ptr<Step> plan(const std::vector<ValueType>&, const std::vector<ValueType>&,
                             std::size_t members) const override {
    return with_type(type_, [&](auto number) { return step<decltype(number)>(members); });
  }

 private:
  template <class T>
  std::unique_ptr<Step> step(std::size_t members) const {
    StridedLoop loop(
        dims_, {broadcast_strides(operands_[0], dims_), broadcast_strides(operands_[1], dims_), strides_of(dims_)});
    return std::make_unique<PlainStep<T>>(kind_, std::move(loop), elements_of(dims_), activation_, members);
  }

  Kind kind_;
  Dtype type_;
  std::optional<UnaryFunction> activation_;
  Dims operands_[2], dims_;
};

}  // namespace

std::unique_ptr<Op> make_binary(const OpContext& context) {
  context.expect_inputs(2, 2);
  const Kind kind = kind_of(context.attributes().text("kind"));
  if (has_kernel(kind))
    if (std::unique_ptr<Op> op = make_map_binary(context, kernel_of(kind))) return op;
  return std::make_unique<PlainBinary>(context);
}

}  // namespace qarepvgg
