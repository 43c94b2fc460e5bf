// SPDX-License-Identifier: Apache-2.0
// From input tensors to a maskcore_call: every constraint on values and shapes, with the wording of
// maskcore/_checks.py. Each function fills its part of the call, or leaves a refusal in `failure`. Arguments come in
// the order in which maskcore checks them.
#ifndef MASKCORE_TFSHIM_DECODE_HPP_
#define MASKCORE_TFSHIM_DECODE_HPP_

#include "maskcore.h"
#include "run.hpp"

namespace maskcore_tf {

// The shape of maskable_positions.
struct Rows {
  int rank = 0;  // 1: one row; 2: a batch
  int64_t num_rows = 0;
  int64_t row_length = 0;

  bool is_empty() const noexcept { return num_rows == 0 || row_length == 0; }
};

// A call that masks nothing yet.
maskcore_call empty_call() noexcept;

Rows decode_maskable(const Tensor& maskable, maskcore_call& call, Failure& failure) noexcept;

// `widened` holds budgets that come as int32.
void decode_budget(const Tensor& budget, const Rows& rows, Buffer<int64_t>& widened, maskcore_call& call,
                   Failure& failure) noexcept;

// `narrowed` holds ids that come as int64. Null, without a failure, where the rows are empty.
const int32_t* decode_token_ids(const char* argument, const Tensor& ids, const Tensor& maskable,
                                Buffer<int32_t>& narrowed, Failure& failure) noexcept;

void decode_length_thresholds(const Tensor& thresholds, maskcore_call& call, Failure& failure) noexcept;
int32_t decode_max_n(const Tensor& max_n, Failure& failure) noexcept;
void decode_epoch(const Tensor& epoch, const Rows& rows, maskcore_call& call, Failure& failure) noexcept;
void check_seed(int64_t seed, Failure& failure) noexcept;
void decode_seed(const Tensor& seed, maskcore_call& call, Failure& failure) noexcept;
void decode_row_ids(const Tensor& row_ids, const Rows& rows, maskcore_call& call, Failure& failure) noexcept;

// Masks all rows of a sound call into `mask`, of the shape and dtype of maskable_positions.
void mask_rows(maskcore_call& call, const Rows& rows, const Tensor& mask, Failure& failure) noexcept;

}  // namespace maskcore_tf

#endif  // MASKCORE_TFSHIM_DECODE_HPP_
