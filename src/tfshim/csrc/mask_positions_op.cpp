// SPDX-License-Identifier: Apache-2.0
// The stateless op of masks: a pure function of its inputs, with the bits of maskcore.mask_positions.
// Owns its declaration and the order of its inputs.
#include "ops.hpp"
#include "span_inputs.hpp"

namespace maskcore_tf {
namespace {

enum Input : int { kMaskablePositions, kSpanInputs, kTokenIds = kSpanInputs + kNumSpanInputs };

void* create(TF_OpKernelConstruction* context) noexcept {
  return create_kernel<SpanAttributes>(context, read_span_attributes);
}

void compute(void* state, TF_OpKernelContext* context) noexcept {
  Run run(context);
  const Tensor maskable = Tensor::input(run, kMaskablePositions);
  if (!run.is_ok()) return;

  maskcore_call call = empty_call();
  SpanMemory memory;
  const Rows rows = decode_rows("maskable_positions", maskable, call, run.failure);
  if (run.is_ok()) decode_maskable(maskable, rows, call, run.failure);
  if (run.is_ok())
    decode_span_inputs(run, *static_cast<const SpanAttributes*>(state), kSpanInputs, kTokenIds, rows, memory, call);
  if (!run.is_ok()) return;

  const Tensor mask = Tensor::output_like_first(run, maskable);
  if (!run.is_ok()) return;
  call.mask = mask.data();
  run_kernel(call, rows, run.failure);
}

}  // namespace

void register_mask_positions(TF_Status* status) noexcept {
  TF_OpDefinitionBuilder* const op = tf.new_op_definition_builder(kMaskPositions);
  tf.op_definition_builder_add_attr(op, "T: " MASKCORE_TF_MASKABLE_TYPES);
  declare_span_attributes(op);
  tf.op_definition_builder_add_input(op, "maskable_positions: T");
  declare_span_inputs(op);
  declare_token_ids(op);
  tf.op_definition_builder_add_output(op, "masking_position: T");
  tf.op_definition_builder_set_shape_inference_function(op, infer_shape_of_first);
  // Not even asked to be stateful: TensorFlow's setter ignores its argument.
  tf.register_op_definition(op, status);
  if (tf.get_code(status) != kOk) return;
  tf.register_kernel_builder(kMaskPositions,
                             tf.new_kernel_builder(kMaskPositions, "CPU", create, compute, destroy_kernel), status);
}

}  // namespace maskcore_tf
