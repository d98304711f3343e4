#include "program/ops/table.h"

namespace qarepvgg {

const OpEntry* find_op(const std::string& name) {
  static constexpr OpEntry kOps[]{
      {"conv", make_conv},
      {"convTranspose", make_conv_transpose},
      {"maxPool", make_max_pool},
      {"averagePool", make_average_pool},
      {"globalPool", make_global_pool},
      {"squeezeExcite", make_squeeze_excite},
      {"quantize", make_quantize},
      {"dequantize", make_dequantize},
      {"quantizedConv", make_quantized_conv},
      {"quantizedConvTranspose", make_quantized_conv_transpose},
      {"quantizedTable", make_quantized_table},
      {"quantizedBinary", make_quantized_binary},
      {"quantizedAveragePool", make_quantized_average_pool},
      {"quantizedGlobalAverage", make_quantized_global_average},
      {"resize", make_resize},
      {"unary", make_unary},
      {"binary", make_binary},
      {"where", make_where},
      {"concat", make_concat},
      {"split", make_split},
      {"slice", make_slice},
      {"pad", make_pad},
      {"transpose", make_transpose},
      {"reshape", make_reshape},
      {"expand", make_expand},
      {"tile", make_tile},
      {"gather", make_gather},
      {"depthToSpace", make_depth_to_space},
      {"spaceToDepth", make_space_to_depth},
      {"cast", make_cast},
      {"matMul", make_mat_mul},
      {"softmax", make_softmax},
      {"reduce", make_reduce},
      {"argMax", make_arg_max},
      {"topK", make_top_k},
      {"cumSum", make_cum_sum},
  };
  for (const OpEntry& op : kOps)
    if (name == op.name) return &op;
  return nullptr;
}

}  // namespace qarepvgg
