// SPDX-License-Identifier: Apache-2.0
// The entry points of the instruction-set levels; dispatch.cpp chooses between them.
#ifndef MASKCORE_ISA_HPP_
#define MASKCORE_ISA_HPP_

#include "maskcore.h"

#if defined(__x86_64__) || defined(_M_X64)
#define MASKCORE_IS_X86_64 1
#else
#define MASKCORE_IS_X86_64 0
#endif

namespace maskcore {

using MaskRowRange = int32_t (*)(const maskcore_call& call, int64_t first_row, int64_t stop_row) noexcept;

int32_t mask_row_range_avx512(const maskcore_call& call, int64_t first_row, int64_t stop_row) noexcept;
int32_t mask_row_range_avx2(const maskcore_call& call, int64_t first_row, int64_t stop_row) noexcept;
int32_t mask_row_range_scalar(const maskcore_call& call, int64_t first_row, int64_t stop_row) noexcept;

}  // namespace maskcore

#endif  // MASKCORE_ISA_HPP_
