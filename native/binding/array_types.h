// The typed arrays that hold the elements of tensors.
#pragma once

#include <napi.h>

#include "program/graph.h"

namespace qarepvgg::binding {

struct ArrayType {
  Dtype element;
  const char* class_name;
  napi_typedarray_type type;
};

// In the order of Dtype. A bool is a byte, 0 or 1.
inline constexpr ArrayType kArrayTypes[]{
    {Dtype::kFloat32, "Float32Array", napi_float32_array}, {Dtype::kUint8, "Uint8Array", napi_uint8_array},
    {Dtype::kInt8, "Int8Array", napi_int8_array},          {Dtype::kInt32, "Int32Array", napi_int32_array},
    {Dtype::kInt64, "BigInt64Array", napi_bigint64_array}, {Dtype::kBool, "Uint8Array", napi_uint8_array}};

inline std::size_t index_of(Dtype element) { return static_cast<std::size_t>(element); }
inline const ArrayType& array_type_of(Dtype element) { return kArrayTypes[index_of(element)]; }

}  // namespace qarepvgg::binding
