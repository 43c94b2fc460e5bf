// SPDX-License-Identifier: Apache-2.0
// The stateless op: a pure function of its inputs, with the bits of maskcore.mask_positions.
// Owns its declaration and the order of its inputs.
#include "decode.hpp"
#include "ops.hpp"

namespace maskcore_tf {
namespace {

enum Input : int {
  kMaskablePositions,
  kNumTokensToMask,
  kLengthThresholds,
  kSeedInput,
  kEpochInput,
  kRowIdsInput,
  kTokenIds  // word_ids where given, then segment_ids where given
};

struct Kernel {
  bool has_word_ids;
  bool has_segment_ids;
};

// True for a list of one tensor, false for an empty one.
bool has_optional(TF_OpKernelConstruction* context, const char* attr, const char* argument, Failure& failure,
                  TF_Status* status) noexcept {
  int64_t size = 0;
  tf.op_kernel_construction_get_attr_int64(context, attr, &size, status);
  if (size > 1) failure.refuse(argument, "a list of at most one tensor", size, "pass an empty list for none");
  return size == 1;
}

void* create(TF_OpKernelConstruction* context) noexcept {
  TF_Status* const status = tf.new_status();
  Failure failure;
  Kernel* const kernel = static_cast<Kernel*>(malloc(sizeof(Kernel)));
  if (kernel == nullptr) {
    failure.fail(kResourceExhausted, "out of memory");
  } else {
    kernel->has_word_ids = has_optional(context, "num_word_ids", "word_ids", failure, status);
    kernel->has_segment_ids = has_optional(context, "num_segment_ids", "segment_ids", failure, status);
  }
  if (failure.has_failed()) tf.set_status(status, failure.code, failure.text);
  if (tf.get_code(status) != kOk) tf.op_kernel_construction_failure(context, status);
  tf.delete_status(status);
  return kernel;
}

void compute(void* state, TF_OpKernelContext* context) noexcept {
  const Kernel& kernel = *static_cast<const Kernel*>(state);
  Run run(context);
  Failure& failure = run.failure;
  const Tensor maskable = Tensor::input(run, kMaskablePositions);
  const Tensor budget = Tensor::input(run, kNumTokensToMask);
  const Tensor thresholds = Tensor::input(run, kLengthThresholds);
  const Tensor seed = Tensor::input(run, kSeedInput);
  const Tensor epoch = Tensor::input(run, kEpochInput);
  const Tensor row_ids = Tensor::input(run, kRowIdsInput);
  if (!run.is_ok()) return;

  maskcore_call call = empty_call();
  Buffer<int64_t> widened;
  Buffer<int32_t> word_ids, segment_ids;
  const Rows rows = decode_maskable(maskable, call, failure);
  if (run.is_ok()) decode_budget(budget, rows, widened, call, failure);
  if (run.is_ok() && kernel.has_word_ids) {
    // The tensor may go at the end of the block: the context keeps its memory until the op has run.
    const Tensor ids = Tensor::input(run, kTokenIds);
    if (run.is_ok()) call.word_ids = decode_token_ids("word_ids", ids, maskable, word_ids, failure);
  }
  if (run.is_ok() && kernel.has_segment_ids) {
    const Tensor ids = Tensor::input(run, kTokenIds + (kernel.has_word_ids ? 1 : 0));
    if (run.is_ok()) call.segment_ids = decode_token_ids("segment_ids", ids, maskable, segment_ids, failure);
  }
  if (run.is_ok()) decode_length_thresholds(thresholds, call, failure);
  if (run.is_ok()) decode_epoch(epoch, rows, call, failure);
  if (run.is_ok()) decode_seed(seed, call, failure);
  if (run.is_ok()) decode_row_ids(row_ids, rows, call, failure);
  if (!run.is_ok()) return;

  const Tensor mask = Tensor::output_like_first(run, maskable);
  if (run.is_ok()) mask_rows(call, rows, mask, failure);
}

void destroy(void* state) noexcept { free(state); }

}  // namespace

void register_mask_positions(TF_Status* status) noexcept {
  TF_OpDefinitionBuilder* const op = tf.new_op_definition_builder(kMaskPositions);
  tf.op_definition_builder_add_attr(
      op, "T: {bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64}");
  tf.op_definition_builder_add_attr(op, "Tword_ids: {int32, int64} = DT_INT32");
  tf.op_definition_builder_add_attr(op, "Tsegment_ids: {int32, int64} = DT_INT32");
  tf.op_definition_builder_add_attr(op, "num_word_ids: int >= 0");
  tf.op_definition_builder_add_attr(op, "num_segment_ids: int >= 0");
  tf.op_definition_builder_add_input(op, "maskable_positions: T");
  tf.op_definition_builder_add_input(op, "num_tokens_to_mask: int64");
  tf.op_definition_builder_add_input(op, "length_thresholds: int32");
  tf.op_definition_builder_add_input(op, "seed: int64");
  tf.op_definition_builder_add_input(op, "epoch: int64");
  tf.op_definition_builder_add_input(op, "row_ids: int64");
  tf.op_definition_builder_add_input(op, "word_ids: num_word_ids * Tword_ids");
  tf.op_definition_builder_add_input(op, "segment_ids: num_segment_ids * Tsegment_ids");
  tf.op_definition_builder_add_output(op, "masking_position: T");
  tf.op_definition_builder_set_shape_inference_function(op, infer_shape_of_first);
  // Not even asked to be stateful: TensorFlow's setter ignores its argument.
  tf.register_op_definition(op, status);
  if (tf.get_code(status) != kOk) return;
  tf.register_kernel_builder(kMaskPositions, tf.new_kernel_builder(kMaskPositions, "CPU", create, compute, destroy),
                             status);
}

}  // namespace maskcore_tf
