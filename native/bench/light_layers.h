// Layers with little arithmetic for the memory that they read and write, and the speed of memory, which limits them.
#pragma once

#include "bench/bench.h"

namespace qarepvgg {

enum class LightKind { kDepthwise, kPointwise, kTransposed };

struct LightLayer {
  const char* name;
  LightKind kind;
  std::size_t in_c, out_c, size, kernel, stride;

  std::size_t padding() const { return kind == LightKind::kTransposed ? 0 : (kernel - 1) / 2; }
  std::size_t out_size() const { return kind == LightKind::kTransposed ? size * stride : (size - 1) / stride + 1; }
};

// From MobileNetV2, BlazeFace, PP-OCR and YOLOv6.
inline constexpr LightLayer kLightLayers[] = {
    {"depthwise 3x3 32   @112", LightKind::kDepthwise, 32, 32, 112, 3, 1},
    {"depthwise 3x3 96   @112 /2", LightKind::kDepthwise, 96, 96, 112, 3, 2},
    {"depthwise 3x3 144  @56", LightKind::kDepthwise, 144, 144, 56, 3, 1},
    {"depthwise 3x3 576  @14", LightKind::kDepthwise, 576, 576, 14, 3, 1},
    {"depthwise 3x3 960  @7", LightKind::kDepthwise, 960, 960, 7, 3, 1},
    {"depthwise 5x5 192  @40", LightKind::kDepthwise, 192, 192, 40, 5, 1},
    {"pointwise 16 -> 96   @112", LightKind::kPointwise, 16, 96, 112, 1, 1},
    {"pointwise 32 -> 16   @112", LightKind::kPointwise, 32, 16, 112, 1, 1},
    {"pointwise 144 -> 24  @56", LightKind::kPointwise, 144, 24, 56, 1, 1},
    {"pointwise 384 -> 64  @14", LightKind::kPointwise, 384, 64, 14, 1, 1},
    {"pointwise 160 -> 960 @7", LightKind::kPointwise, 160, 960, 7, 1, 1},
    {"pointwise 512 -> 128 @20", LightKind::kPointwise, 512, 128, 20, 1, 1},
    {"transposed 2x2 64 -> 64 @20", LightKind::kTransposed, 64, 64, 20, 2, 2},
    {"transposed 2x2 32 -> 32 @40", LightKind::kTransposed, 32, 32, 40, 2, 2},
};

// Bytes per second that threads read and write while they copy `bytes` / 2 bytes.
double copy_speed(double bytes, int threads, const Options& options);

}  // namespace qarepvgg
