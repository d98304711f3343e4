// What a network reads from JavaScript.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qarepvgg {

inline constexpr std::size_t kMaxImageChannels = 4;

// Images: floats [n][channels][height][width], or bytes [n][height][width][channels], whose values in channel c are
// byte * scale[c] + shift[c].
struct Image {
  const float* floats = nullptr;
  const std::uint8_t* bytes = nullptr;
  const float *scale = nullptr, *shift = nullptr;
};

}  // namespace qarepvgg
