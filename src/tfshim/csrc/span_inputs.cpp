// SPDX-License-Identifier: Apache-2.0
// See span_inputs.hpp.
#include "span_inputs.hpp"

namespace maskcore_tf {
namespace {

enum SpanInput : int { kNumTokensToMask, kLengthThresholds, kSeedInput, kEpochInput, kRowIdsInput };
static_assert(kRowIdsInput + 1 == kNumSpanInputs, "one for each");

constexpr int64_t kRatioUnit = 1000000000;

}  // namespace

void declare_span_attributes(TF_OpDefinitionBuilder* op) noexcept {
  tf.op_definition_builder_add_attr(op, "Tword_ids: {uint8, uint16, int32, int64} = DT_INT32");
  tf.op_definition_builder_add_attr(op, "Tsegment_ids: {int32, int64} = DT_INT32");
  tf.op_definition_builder_add_attr(op, "num_word_ids: int >= 0");
  tf.op_definition_builder_add_attr(op, "num_segment_ids: int >= 0");
  tf.op_definition_builder_add_attr(op, "first_word_id: int = 0");
  tf.op_definition_builder_add_attr(op, "ratio_e9: int = 0");
  tf.op_definition_builder_add_attr(op, "max_predictions: int = -1");
}

void declare_span_inputs(TF_OpDefinitionBuilder* op) noexcept {
  tf.op_definition_builder_add_input(op, "num_tokens_to_mask: int64");
  tf.op_definition_builder_add_input(op, "length_thresholds: int32");
  tf.op_definition_builder_add_input(op, "seed: int64");
  tf.op_definition_builder_add_input(op, "epoch: int64");
  tf.op_definition_builder_add_input(op, "row_ids: int64");
}

void declare_token_ids(TF_OpDefinitionBuilder* op) noexcept {
  tf.op_definition_builder_add_input(op, "word_ids: num_word_ids * Tword_ids");
  tf.op_definition_builder_add_input(op, "segment_ids: num_segment_ids * Tsegment_ids");
}

bool has_one(TF_OpKernelConstruction* context, const char* attr, const char* argument, Failure& failure,
             TF_Status* status) noexcept {
  int64_t size = 0;
  if (tf.get_code(status) == kOk) tf.op_kernel_construction_get_attr_int64(context, attr, &size, status);
  if (size > 1) failure.refuse(argument, "a list of at most one tensor", size, "pass an empty list for none");
  return size == 1;
}

void read_span_attributes(TF_OpKernelConstruction* context, SpanAttributes& attributes, Failure& failure,
                          TF_Status* status) noexcept {
  attributes.has_word_ids = has_one(context, "num_word_ids", "word_ids", failure, status);
  attributes.has_segment_ids = has_one(context, "num_segment_ids", "segment_ids", failure, status);
  int64_t first_word_id = 0;
  attributes.ratio_e9 = 0;
  attributes.max_predictions = kNoCap;
  if (tf.get_code(status) == kOk)
    tf.op_kernel_construction_get_attr_int64(context, "ratio_e9", &attributes.ratio_e9, status);
  if (tf.get_code(status) == kOk)
    tf.op_kernel_construction_get_attr_int64(context, "max_predictions", &attributes.max_predictions, status);
  if (tf.get_code(status) == kOk)
    tf.op_kernel_construction_get_attr_int64(context, "first_word_id", &first_word_id, status);
  if (first_word_id < 0 || first_word_id > INT32_MAX)
    failure.refuse("first_word_id", "in [0, 2**31)", first_word_id, "smaller word ids mean no word");
  attributes.first_word_id = static_cast<int32_t>(first_word_id);
  if (attributes.ratio_e9 < 0 || attributes.ratio_e9 > kRatioUnit)
    failure.refuse("ratio_e9", "in [0, 10**9]", attributes.ratio_e9, "pass masking_ratio in units of 1e-9, 0 for none");
  const int64_t cap = attributes.max_predictions;
  if (cap != kNoCap && (cap < 1 || cap > INT32_MAX))
    failure.refuse("max_predictions", "in [1, 2**31)", cap, "it is the room for positions in a row, -1 for no limit");
}

void decode_span_inputs(Run& run, const SpanAttributes& attributes, int first, int first_token_ids, const Rows& rows,
                        SpanMemory& memory, maskcore_call& call) noexcept {
  Failure& failure = run.failure;
  const Tensor budget = Tensor::input(run, first + kNumTokensToMask);
  const Tensor thresholds = Tensor::input(run, first + kLengthThresholds);
  const Tensor seed = Tensor::input(run, first + kSeedInput);
  const Tensor epoch = Tensor::input(run, first + kEpochInput);
  const Tensor row_ids = Tensor::input(run, first + kRowIdsInput);
  if (!run.is_ok()) return;

  call.ratio_e9 = attributes.ratio_e9;
  call.budget_cap = attributes.max_predictions;
  if (attributes.ratio_e9 == 0) decode_budget(budget, attributes.max_predictions, rows, memory.budgets, call, failure);
  if (run.is_ok() && attributes.has_word_ids) {
    // The tensor may go at the end of the block: the context keeps its memory until the op has run.
    const Tensor ids = Tensor::input(run, first_token_ids);
    const int32_t first_word = attributes.first_word_id;
    const Numbering numbering = first_word == 0 ? kAsStored : numbered_from(first_word);
    if (run.is_ok()) call.word_ids = decode_token_ids("word_ids", ids, rows, numbering, memory.word_ids, failure);
  }
  if (run.is_ok() && attributes.has_segment_ids) {
    const Tensor ids = Tensor::input(run, first_token_ids + (attributes.has_word_ids ? 1 : 0));
    if (run.is_ok())
      call.segment_ids = decode_token_ids("segment_ids", ids, rows, kAsStored, memory.segment_ids, failure);
  }
  if (run.is_ok()) decode_length_thresholds(thresholds, call, failure);
  if (run.is_ok()) decode_epoch(epoch, rows, call, failure);
  if (run.is_ok()) decode_seed(seed, call, failure);
  if (run.is_ok()) decode_row_ids(row_ids, rows, call, failure);
}

}  // namespace maskcore_tf
