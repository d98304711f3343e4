#include "program/ops/activation.h"

namespace qarepvgg {
namespace {

struct Named {
  const char* name;
  Unary kind;
  const char *alpha, *beta;  // names of the parameters, or null
};

constexpr Named kFunctions[]{{"relu", Unary::kRelu, nullptr, nullptr},
                             {"clip", Unary::kClip, "low", "high"},
                             {"leakyRelu", Unary::kLeakyRelu, "alpha", nullptr},
                             {"sigmoid", Unary::kSigmoid, nullptr, nullptr},
                             {"silu", Unary::kSilu, nullptr, nullptr},
                             {"hardSigmoid", Unary::kHardSigmoid, "alpha", "beta"},
                             {"hardSwish", Unary::kHardSwish, nullptr, nullptr},
                             {"exp", Unary::kExp, nullptr, nullptr},
                             {"sqrt", Unary::kSqrt, nullptr, nullptr},
                             {"abs", Unary::kAbs, nullptr, nullptr},
                             {"neg", Unary::kNeg, nullptr, nullptr},
                             {"reciprocal", Unary::kReciprocal, nullptr, nullptr},
                             {"floor", Unary::kFloor, nullptr, nullptr},
                             {"ceil", Unary::kCeil, nullptr, nullptr},
                             {"log", Unary::kLog, nullptr, nullptr},
                             {"tanh", Unary::kTanh, nullptr, nullptr},
                             {"erf", Unary::kErf, nullptr, nullptr},
                             {"round", Unary::kRound, nullptr, nullptr},
                             {"sign", Unary::kSign, nullptr, nullptr},
                             {"softplus", Unary::kSoftplus, nullptr, nullptr},
                             {"softsign", Unary::kSoftsign, nullptr, nullptr},
                             {"elu", Unary::kElu, "alpha", nullptr},
                             {"selu", Unary::kSelu, "alpha", "gamma"},
                             {"mish", Unary::kMish, nullptr, nullptr},
                             {"gelu", Unary::kGelu, nullptr, nullptr},
                             {"sin", Unary::kSin, nullptr, nullptr},
                             {"cos", Unary::kCos, nullptr, nullptr},
                             {"tan", Unary::kTan, nullptr, nullptr},
                             {"asin", Unary::kAsin, nullptr, nullptr},
                             {"acos", Unary::kAcos, nullptr, nullptr},
                             {"atan", Unary::kAtan, nullptr, nullptr},
                             {"sinh", Unary::kSinh, nullptr, nullptr},
                             {"cosh", Unary::kCosh, nullptr, nullptr},
                             {"asinh", Unary::kAsinh, nullptr, nullptr},
                             {"acosh", Unary::kAcosh, nullptr, nullptr},
                             {"atanh", Unary::kAtanh, nullptr, nullptr}};

}  // namespace

bool UnaryFunction::keeps_zero() const {
  if (shift != 0) return false;
  switch (kind) {
    case Unary::kClip:
      return alpha <= 0 && beta >= 0;
    case Unary::kSigmoid:
    case Unary::kHardSigmoid:
    case Unary::kExp:
    case Unary::kReciprocal:
    case Unary::kLog:
    case Unary::kSoftplus:
    case Unary::kCos:
    case Unary::kAcos:
    case Unary::kCosh:
    case Unary::kAcosh:
      return false;
    default:
      return true;
  }
}

UnaryFunction unary_function(const Attributes& attributes, const std::string& kind, const std::string& prefix) {
  for (const Named& named : kFunctions)
    if (kind == named.name) {
      UnaryFunction function{named.kind};
      if (named.alpha != nullptr) function.alpha = static_cast<float>(attributes.number(prefix + named.alpha));
      if (named.beta != nullptr) function.beta = static_cast<float>(attributes.number(prefix + named.beta));
      function.scale = static_cast<float>(attributes.number(prefix + "scale", 1));
      function.shift = static_cast<float>(attributes.number(prefix + "shift", 0));
      return function;
    }
  fail(code::kInvalidArg, "expected a function of one number, received '", kind, "'");
}

std::optional<UnaryFunction> activation_of(const Attributes& attributes) {
  if (!attributes.has("activation")) return std::nullopt;
  return unary_function(attributes, attributes.text("activation"), "activation.");
}

Activation stored_activation_of(const Attributes& attributes) {
  const auto function = activation_of(attributes);
  return function && function->has_kernel() ? Activation(*function) : Activation();
}

}  // namespace qarepvgg
