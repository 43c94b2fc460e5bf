// SPDX-License-Identifier: Apache-2.0
// What the stateless ops have in common: the inputs and attributes that decide which positions are masked.
// Owns their declaration and their order; decode.hpp owns what each may hold.
#ifndef MASKCORE_TFSHIM_SPAN_INPUTS_HPP_
#define MASKCORE_TFSHIM_SPAN_INPUTS_HPP_

#include "decode.hpp"

namespace maskcore_tf {

// The types of maskable_positions.
#define MASKCORE_TF_MASKABLE_TYPES "{bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64}"

// What of the choice an op's attributes say.
struct SpanAttributes {
  bool has_word_ids;
  bool has_segment_ids;
  int32_t first_word_id;    // smaller word ids mean no word
  int64_t ratio_e9;         // 0: budgets are given
  int64_t max_predictions;  // kNoCap: none
};

// Memory that the call points into.
struct SpanMemory {
  Buffer<int64_t> budgets;
  Buffer<int32_t> word_ids;
  Buffer<int32_t> segment_ids;
};

void declare_span_attributes(TF_OpDefinitionBuilder* op) noexcept;
// Numbers and vectors: kNumSpanInputs of them, in the order in which decode_span_inputs reads them.
void declare_span_inputs(TF_OpDefinitionBuilder* op) noexcept;
// The lists of word_ids and segment_ids: the last inputs.
void declare_token_ids(TF_OpDefinitionBuilder* op) noexcept;
constexpr int kNumSpanInputs = 5;

// True for a list of one tensor, false for an empty one: a list stands for what need not be given.
bool has_one(TF_OpKernelConstruction* context, const char* attr, const char* argument, Failure& failure,
             TF_Status* status) noexcept;

void read_span_attributes(TF_OpKernelConstruction* context, SpanAttributes& attributes, Failure& failure,
                          TF_Status* status) noexcept;

// Fills `call` from the inputs that begin at `first`, and the word and segment ids that begin at `first_token_ids`. A
// failure is that of the run.
void decode_span_inputs(Run& run, const SpanAttributes& attributes, int first, int first_token_ids, const Rows& rows,
                        SpanMemory& memory, maskcore_call& call) noexcept;

}  // namespace maskcore_tf

#endif  // MASKCORE_TFSHIM_SPAN_INPUTS_HPP_
