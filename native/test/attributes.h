// Attributes of nodes for tests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ops/conv_taps.h"
#include "ops/quantization.h"
#include "program/graph.h"

namespace qarepvgg::test {

inline Attributes window_attributes(const Window& window, std::size_t groups = 1) {
  const auto list = [](std::initializer_list<std::size_t> sizes) {
    return std::vector<double>(sizes.begin(), sizes.end());
  };
  const Side &y = window.y, &x = window.x;
  Attributes attributes;
  attributes.set("kernel", list({y.kernel, x.kernel}));
  attributes.set("strides", list({y.stride, x.stride}));
  attributes.set("pads", list({y.before, x.before, y.after, x.after}));
  attributes.set("dilations", list({y.dilation, x.dilation}));
  attributes.set("group", static_cast<double>(groups));
  return attributes;
}

inline Attributes square_window(std::size_t kernel, std::size_t stride, std::size_t padding, std::size_t dilation = 1,
                                std::size_t groups = 1) {
  const Side side{kernel, stride, padding, padding, dilation};
  return window_attributes({side, side}, groups);
}

// Sets <prefix>Scale and <prefix>ZeroPoint.
inline void set_quantization(Attributes& attributes, const std::string& prefix, const Quantization& q) {
  attributes.set(prefix + "Scale", static_cast<double>(q.scale()));
  attributes.set(prefix + "ZeroPoint", static_cast<double>(q.zero_point()));
}

inline Attributes relu_if(bool has_relu, Attributes attributes = {}) {
  if (has_relu) attributes.set("activation", std::string("relu"));
  return attributes;
}

inline Attributes batch_norm_attributes(double epsilon, double momentum) {
  Attributes attributes;
  attributes.set("epsilon", epsilon);
  attributes.set("momentum", momentum);
  return attributes;
}

// 3x3, stride 1, padding 1, which counts.
inline Attributes average_attributes() {
  Attributes attributes = square_window(3, 1, 1);
  attributes.set("countIncludePad", 1.0);
  return attributes;
}

inline Attributes global_average_attributes() {
  Attributes attributes;
  attributes.set("kind", std::string("average"));
  return attributes;
}

}  // namespace qarepvgg::test
