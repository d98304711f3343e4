// Layers of an inference program that read or write integers.
#pragma once

#include <memory>

#include "program/inference_layer.h"

namespace qarepvgg {

// The layer of such an op; `input` is the shape of its input at the program's nominal size. Throws ERR_QUANT_PARAM and
// ERR_BUFFER_SIZE for numbers that do not describe one. Which algorithm a convolution runs depends on its shape, its
// weights and the instruction set alone, and shows in no result.
std::unique_ptr<InferenceLayer> make_quantized_layer(const OpSpec& op, const MapShape& input, Algorithm algorithm);
// A convolution that reads images, and quantises them.
std::unique_ptr<InferenceLayer> make_quantized_stem_layer(const OpSpec& op, const MapShape& input);

}  // namespace qarepvgg
