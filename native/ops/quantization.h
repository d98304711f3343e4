// Which numbers integers represent, and how sums of their products become integers again: ONNX's QLinearConv, bit for
// bit in the order of operations of onnxruntime's fused kernels (mlas/lib/quantize.cpp, qlinearconv.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/integer_kernels.h"
#include "kernels/tensor_kernels.h"
#include "ops/activation.h"
#include "ops/byte_map.h"
#include "ops/panels.h"

namespace qarepvgg {

// An integer q from 0 to 255 represents (q - zero_point) * scale.
class Quantization {
 public:
  // Throws ERR_QUANT_PARAM, naming `where`, unless the scale is a positive normal float and the zero point a whole
  // number from 0 to 255.
  Quantization(double scale, double zero_point, const std::string& where);

  float scale() const { return scale_; }
  std::uint8_t zero_point() const { return zero_point_; }
  bool operator==(const Quantization& other) const {
    return scale_ == other.scale_ && zero_point_ == other.zero_point_;
  }

  // Constants of x -> clamp(round(x / scale) + zero_point, 0, 255).
  QuantizeParameters parameters() const;

 private:
  float scale_;
  std::uint8_t zero_point_;
};

// The weights of a convolution. The bias is in units of the input's scale times the weight's.
struct QuantizedWeights {
  std::vector<std::int8_t> weight;  // [out][in / groups][kernel y][kernel x]
  std::vector<std::int32_t> bias;   // [out]
  std::vector<float> scale;         // [out]
};

// Throws ERR_BUFFER_SIZE or, naming `where`, ERR_QUANT_PARAM unless there are `out_c` channels with `terms` weights
// each, scales are positive normal floats, and sums fit into 32 bits for any input.
void check_weights(const QuantizedWeights& weights, std::size_t out_c, std::size_t terms, const std::string& where);

// Largest magnitude of an output channel's sum for any input, without the bias.
std::int64_t largest_sum(const std::int8_t* weight, std::size_t count);

// The beginning and end of a convolution, or of another sum of integers: the numbers that sums start from, and how sums
// become outputs. One entry for each packed lane.
class SumStore {
 public:
  // Without `output`, outputs are floats. Before integers, only a ReLU is possible.
  SumStore(const Quantization& input, const std::optional<Quantization>& output, const Activation& activation = {});

  // Throws ERR_QUANT_PARAM, naming `where`, if a product of scales is not finite.
  void check(const std::vector<float>& weight_scale, const std::string& where) const;
  // start, scale: [groups * panels.padded()], memory that outlives this. The sums will be of elements minus `offset`.
  void pack(const QuantizedWeights& weights, std::size_t groups, const Panels& panels, std::int32_t offset,
            std::int32_t* start, float* scale);
  // Sets a table of 256 integers, which must outlive this, to apply to the outputs. zero_point: what represents zero
  // after the table.
  void set_table(const std::uint8_t* table, std::uint8_t zero_point) {
    table_ = table;
    table_zero_ = zero_point;
  }
  bool has_table() const { return table_ != nullptr; }
  std::uint8_t table_zero() const { return table_zero_; }
  const std::int32_t* start(std::size_t lane) const { return start_ + lane; }
  Requantize store(std::size_t lane) const;
  // Tells a kernel where the sums of the lanes from `lane` on start, and how to store them.
  template <class Call>
  void store_by(Call& call, std::size_t lane) const {
    call.start = start(lane);
    call.store = store(lane);
  }
  // Applies the table or the function, if there is one, to stored pixels of a row, `channels` of each. The padding
  // lanes after these keep what they hold.
  void finish(const IntegerKernels& kernels, std::byte* row, std::size_t pixels, std::ptrdiff_t pixel,
              std::size_t channels, std::size_t padding = 0) const;

  // For sums without weights, in plain arithmetic: clamp(round(sum * scale) + zero_point).
  std::uint8_t requantize(std::int32_t sum, float scale) const;

 private:
  float multiplier(float weight_scale) const;

  Quantization input_;
  std::optional<Quantization> output_;
  float low_, high_;
  bool small_ = true;  // whether all scales are below 1
  const std::int32_t* start_ = nullptr;
  const float* scale_ = nullptr;
  const std::uint8_t* table_ = nullptr;
  std::uint8_t table_zero_ = 0;
  Activation activation_;
};

}  // namespace qarepvgg
