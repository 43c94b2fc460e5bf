// SPDX-License-Identifier: Apache-2.0
// From input tensors to a maskcore_call: every constraint on values and shapes, with the wording of
// maskcore/_checks.py. Each function fills its part of the call, or leaves a refusal in `failure`. Arguments come in
// the order in which maskcore checks them.
#ifndef MASKCORE_TFSHIM_DECODE_HPP_
#define MASKCORE_TFSHIM_DECODE_HPP_

#include "maskcore.h"
#include "run.hpp"

namespace maskcore_tf {

// The shape that the tensors of a call share.
struct Rows {
  const char* argument = "";  // the one that says the shape, as users call it
  int rank = 0;               // 1: one row; 2: a batch
  int64_t num_rows = 0;
  int64_t row_length = 0;

  bool is_empty() const noexcept { return num_rows == 0 || row_length == 0; }

  bool is_shape_of(const Tensor& tensor) const noexcept {
    return tensor.rank() == rank && (rank == 1 || tensor.dim(0) == num_rows) && tensor.dim(rank - 1) == row_length;
  }

  TupleText shape_text() const noexcept {
    return TupleText(rank, [this](int axis) { return axis == rank - 1 ? row_length : num_rows; });
  }
};

constexpr int64_t kNoCap = -1;  // no max_predictions

// A call that masks nothing yet.
maskcore_call empty_call() noexcept;

Rows decode_rows(const char* argument, const Tensor& tensor, maskcore_call& call, Failure& failure) noexcept;
void decode_maskable(const Tensor& maskable, const Rows& rows, maskcore_call& call, Failure& failure) noexcept;

// Budgets are at most `cap`. `widened` holds those that come as int32.
void decode_budget(const Tensor& budget, int64_t cap, const Rows& rows, Buffer<int64_t>& widened, maskcore_call& call,
                   Failure& failure) noexcept;

// How stored numbers read: from `first` on they count from 0, and smaller ones are -1.
struct Numbering {
  int32_t first;
  int32_t base;
};
constexpr Numbering kAsStored = {INT32_MIN, 0};
constexpr Numbering numbered_from(int32_t first) noexcept { return {first, first}; }

// `converted` holds what is not int32 as stored. Null, without a failure, where the rows are empty.
const int32_t* decode_token_ids(const char* argument, const Tensor& ids, const Rows& rows, Numbering numbering,
                                Buffer<int32_t>& converted, Failure& failure) noexcept;

// Writes ids of any integer type as int32.
void convert_ids(const char* argument, const Tensor& ids, Numbering numbering, const char* remedy, int32_t* converted,
                 Failure& failure) noexcept;

void decode_length_thresholds(const Tensor& thresholds, maskcore_call& call, Failure& failure) noexcept;
int32_t decode_max_n(const Tensor& max_n, Failure& failure) noexcept;
void decode_epoch(const Tensor& epoch, const Rows& rows, maskcore_call& call, Failure& failure) noexcept;
void check_seed(int64_t seed, Failure& failure) noexcept;
void decode_seed(const Tensor& seed, maskcore_call& call, Failure& failure) noexcept;
void decode_row_ids(const Tensor& row_ids, const Rows& rows, maskcore_call& call, Failure& failure) noexcept;

// The kind of the kernel for an element type.
int32_t element_kind(DataType type) noexcept;

// Refuses where `tensor` has another shape than the rows.
void check_one_per_token(const char* argument, const Tensor& tensor, const Rows& rows, Failure& failure) noexcept;

// Masks all rows of a sound call.
void run_kernel(const maskcore_call& call, const Rows& rows, Failure& failure) noexcept;

}  // namespace maskcore_tf

#endif  // MASKCORE_TFSHIM_DECODE_HPP_
