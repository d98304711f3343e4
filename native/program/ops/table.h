// Every op of the engine, by the name that nodes use.
#pragma once

#include <memory>
#include <string>

#include "program/op.h"

namespace qarepvgg {

struct OpEntry {
  const char* name;
  std::unique_ptr<Op> (*make)(const OpContext& context);
};

// Null for an unknown name.
const OpEntry* find_op(const std::string& name);

// One line for each op. Its file has the name of the op or of its family.
std::unique_ptr<Op> make_conv(const OpContext& context);
std::unique_ptr<Op> make_conv_transpose(const OpContext& context);
std::unique_ptr<Op> make_max_pool(const OpContext& context);
std::unique_ptr<Op> make_average_pool(const OpContext& context);
std::unique_ptr<Op> make_global_pool(const OpContext& context);
std::unique_ptr<Op> make_squeeze_excite(const OpContext& context);
std::unique_ptr<Op> make_quantize(const OpContext& context);
std::unique_ptr<Op> make_dequantize(const OpContext& context);
std::unique_ptr<Op> make_quantized_conv(const OpContext& context);
std::unique_ptr<Op> make_quantized_conv_transpose(const OpContext& context);
std::unique_ptr<Op> make_quantized_table(const OpContext& context);
std::unique_ptr<Op> make_quantized_binary(const OpContext& context);
std::unique_ptr<Op> make_quantized_average_pool(const OpContext& context);
std::unique_ptr<Op> make_quantized_global_average(const OpContext& context);
std::unique_ptr<Op> make_resize(const OpContext& context);
std::unique_ptr<Op> make_unary(const OpContext& context);
std::unique_ptr<Op> make_binary(const OpContext& context);
std::unique_ptr<Op> make_where(const OpContext& context);
std::unique_ptr<Op> make_concat(const OpContext& context);
std::unique_ptr<Op> make_split(const OpContext& context);
std::unique_ptr<Op> make_slice(const OpContext& context);
std::unique_ptr<Op> make_pad(const OpContext& context);
std::unique_ptr<Op> make_transpose(const OpContext& context);
std::unique_ptr<Op> make_reshape(const OpContext& context);
std::unique_ptr<Op> make_expand(const OpContext& context);
std::unique_ptr<Op> make_tile(const OpContext& context);
std::unique_ptr<Op> make_gather(const OpContext& context);
std::unique_ptr<Op> make_depth_to_space(const OpContext& context);
std::unique_ptr<Op> make_space_to_depth(const OpContext& context);
std::unique_ptr<Op> make_cast(const OpContext& context);
std::unique_ptr<Op> make_mat_mul(const OpContext& context);
std::unique_ptr<Op> make_softmax(const OpContext& context);
std::unique_ptr<Op> make_reduce(const OpContext& context);
std::unique_ptr<Op> make_arg_max(const OpContext& context);
std::unique_ptr<Op> make_top_k(const OpContext& context);
std::unique_ptr<Op> make_cum_sum(const OpContext& context);

}  // namespace qarepvgg
