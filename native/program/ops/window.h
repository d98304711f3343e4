// The window of convolutions and pools, as nodes have it.
#pragma once

#include "ops/conv_taps.h"
#include "program/graph.h"

namespace qarepvgg {

// Reads kernel, strides, pads [top, left, bottom, right] and dilations. Throws ERR_INVALID_ARG.
Window read_window(const Attributes& attributes);

}  // namespace qarepvgg
