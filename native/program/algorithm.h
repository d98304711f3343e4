// Which algorithm computes a convolution if there is a choice.
#pragma once

namespace qarepvgg {

enum class Algorithm { kAuto, kGemm, kWinograd };

}  // namespace qarepvgg
