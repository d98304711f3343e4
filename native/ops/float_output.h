// What becomes of the sums of a convolution of floats. For integers: SumStore (ops/quantization.h).
#pragma once

#include <cstddef>

#include "ops/feature_map.h"

namespace qarepvgg {

struct ConvOptions {
  bool accumulate = false;              // adds the addend, or without an addend the content of the output
  const Clamp* clamp = nullptr;         // of the output
  const UnaryFunction* then = nullptr;  // applied to the output; must have a kernel
  const FeatureMap* addend = nullptr;   // of the output's dims; may be the output

  // The map that is added to the output.
  const FeatureMap& addend_for(const FeatureMap& out) const { return addend != nullptr ? *addend : out; }
};

struct FloatOutput {
  const float* bias = nullptr;  // one for each packed lane, or null for zero
  ConvOptions options;

  // Tells a kernel what to do with the sums of the lanes from `lane` on, but for the addend.
  template <class Call>
  void store_by(Call& call, std::size_t lane) const {
    call.bias = bias != nullptr ? bias + lane : nullptr;
    call.clamp = options.clamp;
  }
  // The map that is added to the sums of an output.
  const FeatureMap& addend_for(const FeatureMap& out) const { return options.addend_for(out); }
  // Where this map holds what is added to a channel of a pixel; null if nothing is added.
  const float* addend_at(const FeatureMap& out, std::size_t n, std::ptrdiff_t y, std::ptrdiff_t x,
                         std::size_t channel) const {
    return options.accumulate ? addend_for(out).at(n, y, x) + channel : nullptr;
  }
  // Applies the function, if there is one, to stored pixels of a row, `channels` of each. The `padding` lanes after
  // these become zero.
  void finish(const KernelTable& kernels, float* row, std::size_t pixels, std::ptrdiff_t pixel, std::size_t channels,
              std::size_t padding = 0) const {
    if (options.then != nullptr) kernels.tensor->activate(*options.then, pixels, channels, row, pixel);
    clear_lanes(row + channels, pixels, pixel, padding);
  }
};

}  // namespace qarepvgg
