// How convolutions are computed where there is a choice.
#pragma once

namespace qarepvgg {

enum class Algorithm { kAuto, kGemm, kWinograd };

}  // namespace qarepvgg
