// SPDX-License-Identifier: Apache-2.0
// Registers the ops when the library is loaded, and remembers why not where that fails.
#include "ops.hpp"

namespace maskcore_tf {

void infer_shape_of_first(TF_ShapeInferenceContext* context, TF_Status* status) noexcept {
  tf.shape_inference_context_set_unknown_shape(context, status);
  TF_ShapeHandle* const shape = tf.new_shape_handle();
  tf.shape_inference_context_get_input(context, 0, shape, status);
  if (tf.get_code(status) == kOk) tf.shape_inference_context_set_output(context, 0, shape, status);
  tf.delete_shape_handle(shape);
}

namespace {

const char* missing_function = nullptr;

__attribute__((constructor)) void register_ops() noexcept {
  missing_function = bind_tf_api();
  if (missing_function != nullptr) return;
  TF_Status* const status = tf.new_status();
  register_mask_positions(status);
  register_mask_tokens(status);
  register_get_masking_position(status);
  tf.delete_status(status);
}

}  // namespace
}  // namespace maskcore_tf

// What this TensorFlow lacks, so that no op was registered; null where nothing is.
extern "C" __attribute__((visibility("default"))) const char* maskcore_tf_missing_function() {
  return maskcore_tf::missing_function;
}
