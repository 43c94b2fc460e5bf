// SPDX-License-Identifier: Apache-2.0
// The classic op, with its published signature: every run masks anew.
// Owns its declaration and the counter that addresses its randomness; the choice is that of the stateless op in epoch
// 0.
#include "decode.hpp"
#include "harmonic.hpp"
#include "ops.hpp"

namespace maskcore_tf {
namespace {

enum Input : int { kMaskablePositions, kMaxN, kNumTokensToMask };

// One for the whole process, so that no epoch, iterator or second node repeats the rows of another. A library of plain
// names begins where the wheel's never comes.
int64_t next_row_id = MASKCORE_TF_NAMESPACED ? 0 : int64_t{1} << 62;

int64_t take_row_ids(int64_t num_rows) noexcept { return __atomic_fetch_add(&next_row_id, num_rows, __ATOMIC_RELAXED); }

struct Kernel {
  uint64_t seed;
};

void read_attributes(TF_OpKernelConstruction* context, Kernel& kernel, Failure& failure, TF_Status* status) noexcept {
  int64_t seed = 0;
  tf.op_kernel_construction_get_attr_int64(context, "seed", &seed, status);
  check_seed(seed, failure);
  kernel.seed = static_cast<uint64_t>(seed);
}

void* create(TF_OpKernelConstruction* context) noexcept { return create_kernel<Kernel>(context, read_attributes); }

void compute(void* state, TF_OpKernelContext* context) noexcept {
  Run run(context);
  Failure& failure = run.failure;
  const Tensor maskable = Tensor::input(run, kMaskablePositions);
  const Tensor max_n = Tensor::input(run, kMaxN);
  const Tensor budget = Tensor::input(run, kNumTokensToMask);
  if (!run.is_ok()) return;

  maskcore_call call = empty_call();
  Buffer<int64_t> widened;
  uint32_t thresholds[MASKCORE_MAX_NGRAM];
  const Rows rows = decode_rows("maskable_positions", maskable, call, failure);
  if (run.is_ok()) decode_maskable(maskable, rows, call, failure);
  if (run.is_ok()) decode_budget(budget, kNoCap, rows, widened, call, failure);
  const int32_t longest = run.is_ok() ? decode_max_n(max_n, failure) : 0;
  if (!run.is_ok()) return;
  harmonic_thresholds(longest, thresholds);
  call.length_thresholds = thresholds;
  call.num_length_thresholds = longest - 1;
  call.seed = static_cast<const Kernel*>(state)->seed;

  const Tensor mask = Tensor::output_like_first(run, maskable);
  if (!run.is_ok()) return;
  call.first_row_id = take_row_ids(rows.num_rows);
  call.mask = mask.data();
  run_kernel(call, rows, failure);
}

}  // namespace

void register_get_masking_position(TF_Status* status) noexcept {
  TF_OpDefinitionBuilder* const op = tf.new_op_definition_builder(kGetMaskingPosition);
  tf.op_definition_builder_add_attr(op, "seed: int = 23");
  tf.op_definition_builder_add_input(op, "maskable_positions: float32");
  tf.op_definition_builder_add_input(op, "max_n: int32");
  tf.op_definition_builder_add_input(op, "num_tokens_to_mask: int32");
  tf.op_definition_builder_add_output(op, "masking_position: float32");
  tf.op_definition_builder_set_is_stateful(op, true);
  tf.op_definition_builder_set_shape_inference_function(op, infer_shape_of_first);
  tf.register_op_definition(op, status);
  if (tf.get_code(status) != kOk) return;
  tf.register_kernel_builder(
      kGetMaskingPosition, tf.new_kernel_builder(kGetMaskingPosition, "CPU", create, compute, destroy_kernel), status);
}

}  // namespace maskcore_tf
