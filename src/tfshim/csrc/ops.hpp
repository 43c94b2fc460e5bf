// SPDX-License-Identifier: Apache-2.0
// The names of the ops, and how an op is declared. register.cpp calls the declarations when the library is loaded.
#ifndef MASKCORE_TFSHIM_OPS_HPP_
#define MASKCORE_TFSHIM_OPS_HPP_

#include "tf_api.hpp"

// 1 in the wheel: the ops stand in the namespace `Maskcore>`, beside a library of plain names that a user compiles from
// these sources. TensorFlow does not refuse a second registration of a name; it breaks both.
#ifndef MASKCORE_TF_NAMESPACED
#define MASKCORE_TF_NAMESPACED 0
#endif

namespace maskcore_tf {

#if MASKCORE_TF_NAMESPACED
constexpr const char* kMaskPositions = "Maskcore>MaskPositions";
constexpr const char* kMaskTokens = "Maskcore>MaskTokens";
constexpr const char* kGetMaskingPosition = "Maskcore>GetMaskingPosition";
#else
constexpr const char* kMaskPositions = "MaskPositions";
constexpr const char* kMaskTokens = "MaskTokens";
constexpr const char* kGetMaskingPosition = "GetMaskingPosition";
#endif

void register_mask_positions(TF_Status* status) noexcept;
void register_mask_tokens(TF_Status* status) noexcept;
void register_get_masking_position(TF_Status* status) noexcept;

// The first output has the shape of the first input; others are unknown to TensorFlow, whose C API sets no more.
void infer_shape_of_first(TF_ShapeInferenceContext* context, TF_Status* status) noexcept;

}  // namespace maskcore_tf

#endif  // MASKCORE_TFSHIM_OPS_HPP_
