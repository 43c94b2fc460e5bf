// SPDX-License-Identifier: Apache-2.0
// The stateless op of masked ids: a pure function of its inputs, with the bits of maskcore.mask_tokens.
// Owns its declaration, the order of its inputs and outputs, and the checks of what is written at masked positions.
#include <string.h>

#include "ops.hpp"
#include "span_inputs.hpp"

namespace maskcore_tf {
namespace {

enum Input : int {
  kInputIds,
  kReplacementThresholds,
  kRandomIds,
  kSpecialRanges,
  kSpanInputs,
  kOptional = kSpanInputs + kNumSpanInputs  // maskable_positions, word_ids, segment_ids: each where given
};

struct Kernel {
  SpanAttributes span;
  bool has_maskable;
  bool wants_labels;
  bool wants_predictions;
  bool converts_ids;  // to int32: T is another type than Tmasked_ids
  DataType ids_type;  // of what is written
  DataType labels_type;
  int64_t mask_id;
  int64_t ignore_index;
};

int64_t largest_of(DataType type) noexcept {
  return type == kInt16 ? INT16_MAX : type == kInt32 ? INT32_MAX : INT64_MAX;
}

void read_attributes(TF_OpKernelConstruction* context, Kernel& kernel, Failure& failure, TF_Status* status) noexcept {
  DataType given_type = kInt32;
  read_span_attributes(context, kernel.span, failure, status);
  kernel.has_maskable = has_one(context, "num_maskable_positions", "maskable_positions", failure, status);
  kernel.wants_labels = has_one(context, "wants_labels", "labels", failure, status);
  kernel.wants_predictions = has_one(context, "wants_predictions", "predictions", failure, status);
  if (tf.get_code(status) == kOk)
    tf.op_kernel_construction_get_attr_type(context, "Tlabels", &kernel.labels_type, status);
  if (tf.get_code(status) == kOk) tf.op_kernel_construction_get_attr_type(context, "T", &given_type, status);
  if (tf.get_code(status) == kOk)
    tf.op_kernel_construction_get_attr_type(context, "Tmasked_ids", &kernel.ids_type, status);
  if (tf.get_code(status) == kOk) tf.op_kernel_construction_get_attr_int64(context, "mask_id", &kernel.mask_id, status);
  if (tf.get_code(status) == kOk)
    tf.op_kernel_construction_get_attr_int64(context, "ignore_index", &kernel.ignore_index, status);
  if (tf.get_code(status) != kOk) return;
  kernel.converts_ids = kernel.ids_type != given_type;
  if (kernel.converts_ids && kernel.ids_type != kInt32)
    failure.refuse("Tmasked_ids", "int32, or the dtype of input_ids", "another", "pass the dtype of input_ids");
  if (kernel.mask_id < 0 || kernel.mask_id > largest_of(kernel.ids_type))
    failure.refuse("mask_id", "an id that fits Tmasked_ids", kernel.mask_id, "pass an id of the vocabulary");
  if (kernel.labels_type != kernel.ids_type && kernel.labels_type != kInt32)
    failure.refuse("Tlabels", "int32, or Tmasked_ids", "another", "leave it out");
  const int64_t largest_label = largest_of(kernel.labels_type);
  if (kernel.ignore_index > largest_label || kernel.ignore_index < -largest_label - 1)
    failure.refuse("ignore_index", "a number that fits Tlabels", kernel.ignore_index, "use -100, as PyTorch does");
}

void* create(TF_OpKernelConstruction* context) noexcept { return create_kernel<Kernel>(context, read_attributes); }

void decode_replacement(const Tensor& thresholds, const Tensor& random_ids, maskcore_call& call,
                        Failure& failure) noexcept {
  constexpr const char* kRemedy = "make them with maskcore, as tfshim.mask_tokens does";
  const int64_t* const values = static_cast<const int64_t*>(thresholds.data());
  const bool is_pair = thresholds.rank() == 1 && thresholds.dim(0) == 2;
  if (!is_pair || values[0] < 0 || values[0] > values[1] || values[1] > int64_t{1} << 32) {
    failure.refuse("replacement_thresholds", "two numbers in [0, 2**32], the first not above the second", "others",
                   kRemedy);
    return;
  }
  for (int i = 0; i < 2; ++i) call.replacement_thresholds[i] = static_cast<uint64_t>(values[i]);
  if (random_ids.rank() != 1) {
    failure.refuse("random_ids", "a table of ids", "another shape", kRemedy);
    return;
  }
  call.random_ids = static_cast<const int32_t*>(random_ids.data());
  call.num_random_ids = random_ids.dim(0);
  if (values[0] < values[1] && call.num_random_ids == 0)
    failure.refuse("random_ids", "given where replacement has a random share", "none",
                   "pass maskcore.allowed_ids(vocab_size, special_ids), or replacement=(1, 0, 0)");
}

void decode_special_ranges(const Tensor& ranges, maskcore_call& call, Failure& failure) noexcept {
  if (ranges.rank() != 2 || ranges.dim(1) != 2) {
    failure.refuse("special_ranges", "pairs of the first and the last id of a range", "another shape",
                   "pass shape (k, 2)");
    return;
  }
  call.special_ranges = static_cast<const int64_t*>(ranges.data());
  call.num_special_ranges = ranges.dim(0);
}

// How many positions a row has room for: docs/algorithm.md, section 7.
int64_t num_predictions(const maskcore_call& call, const Rows& rows) noexcept {
  constexpr int64_t kRatioUnit = 1000000000;
  if (call.budget_cap != kNoCap) return call.budget_cap;
  int64_t most = call.budget;
  if (call.ratio_e9 != 0) most = (2 * call.ratio_e9 * rows.row_length + kRatioUnit) / (2 * kRatioUnit);
  if (call.budgets != nullptr) {
    for (int64_t row = 0; row < rows.num_rows; ++row) most = call.budgets[row] > most ? call.budgets[row] : most;
  }
  most = most < rows.row_length ? most : rows.row_length;
  return most < 1 ? 1 : most;
}

size_t bytes_of(DataType type) noexcept { return type == kInt16 ? 2 : type == kInt32 ? 4 : 8; }

// Allocates the next output, of `row_size` numbers a row. Its memory is the context's, and stays until the op has run.
void* allocate(Run& run, int& index, DataType type, size_t bytes, const Rows& rows, int64_t row_size) noexcept {
  if (!run.is_ok()) return nullptr;
  const int64_t dims[2] = {rows.rank == 1 ? row_size : rows.num_rows, row_size};
  const Tensor output = Tensor::output(run, index++, type, bytes, dims, rows.rank);
  return output.is_given() ? output.data() : nullptr;
}

// Also fills `input_ids`: where they are converted, it is in the memory of masked_ids.
void allocate_outputs(Run& run, const Kernel& kernel, const Tensor& ids, const Rows& rows,
                      maskcore_call& call) noexcept {
  int index = 0;
  if (kernel.converts_ids) {
    call.masked_ids = allocate(run, index, kernel.ids_type, bytes_of(kernel.ids_type), rows, rows.row_length);
    if (!run.is_ok()) return;
    convert_ids("input_ids", ids, kAsStored, "pass ids of the vocabulary", static_cast<int32_t*>(call.masked_ids),
                run.failure);
    call.input_ids = call.masked_ids;
  } else {
    const Tensor masked_ids = Tensor::output_like_first(run, ids);
    if (!run.is_ok()) return;
    call.masked_ids = masked_ids.data();
    call.input_ids = ids.data();
    index = 1;
  }
  if (kernel.wants_labels) {
    call.labels_kind = element_kind(kernel.labels_type);
    const size_t bytes = bytes_of(kernel.labels_type);
    call.labels = allocate(run, index, kernel.labels_type, bytes, rows, rows.row_length);
  }
  if (!kernel.wants_predictions) return;
  const int64_t room = num_predictions(call, rows);
  const DataType type = kernel.ids_type;
  call.num_predictions = room;
  call.positions = static_cast<int32_t*>(allocate(run, index, kInt32, sizeof(int32_t), rows, room));
  call.prediction_ids = allocate(run, index, type, bytes_of(type), rows, room);
  call.weights = static_cast<float*>(allocate(run, index, kFloat32, sizeof(float), rows, room));
  if (!run.is_ok() || rows.row_length != 0 || rows.num_rows == 0) return;
  // Rows without tokens have predictions all the same: padding.
  const size_t size = static_cast<size_t>(rows.num_rows * room);
  memset(call.positions, 0, size * sizeof(int32_t));
  memset(call.prediction_ids, 0, size * bytes_of(type));
  memset(call.weights, 0, size * sizeof(float));
}

void compute(void* state, TF_OpKernelContext* context) noexcept {
  const Kernel& kernel = *static_cast<const Kernel*>(state);
  Run run(context);
  const Tensor ids = Tensor::input(run, kInputIds);
  const Tensor thresholds = Tensor::input(run, kReplacementThresholds);
  const Tensor random_ids = Tensor::input(run, kRandomIds);
  const Tensor special_ranges = Tensor::input(run, kSpecialRanges);
  if (!run.is_ok()) return;

  maskcore_call call = empty_call();
  SpanMemory memory;
  const Rows rows = decode_rows("input_ids", ids, call, run.failure);
  call.input_ids_kind = element_kind(kernel.ids_type);
  call.mask_id = kernel.mask_id;
  call.ignore_index = kernel.ignore_index;
  if (run.is_ok() && kernel.has_maskable) {
    const Tensor maskable = Tensor::input(run, kOptional);
    if (run.is_ok()) decode_maskable(maskable, rows, call, run.failure);
  }
  const int token_ids = kOptional + (kernel.has_maskable ? 1 : 0);
  if (run.is_ok()) decode_span_inputs(run, kernel.span, kSpanInputs, token_ids, rows, memory, call);
  if (run.is_ok()) decode_replacement(thresholds, random_ids, call, run.failure);
  if (run.is_ok()) decode_special_ranges(special_ranges, call, run.failure);
  if (run.is_ok()) allocate_outputs(run, kernel, ids, rows, call);
  if (run.is_ok()) run_kernel(call, rows, run.failure);
}

void declare(TF_OpDefinitionBuilder* op) noexcept {
  tf.op_definition_builder_add_attr(op, "T: {int16, uint16, int32, int64}");
  tf.op_definition_builder_add_attr(op, "Tmasked_ids: {int16, int32, int64} = DT_INT32");
  tf.op_definition_builder_add_attr(op, "Tlabels: {int16, int32, int64} = DT_INT32");
  tf.op_definition_builder_add_attr(op, "Tmaskable_positions: " MASKCORE_TF_MASKABLE_TYPES " = DT_BOOL");
  tf.op_definition_builder_add_attr(op, "num_maskable_positions: int >= 0");
  declare_span_attributes(op);
  tf.op_definition_builder_add_attr(op, "wants_labels: int >= 0");
  tf.op_definition_builder_add_attr(op, "wants_predictions: int >= 0");
  tf.op_definition_builder_add_attr(op, "mask_id: int");
  tf.op_definition_builder_add_attr(op, "ignore_index: int = -100");
  tf.op_definition_builder_add_input(op, "input_ids: T");
  tf.op_definition_builder_add_input(op, "replacement_thresholds: int64");
  tf.op_definition_builder_add_input(op, "random_ids: int32");
  tf.op_definition_builder_add_input(op, "special_ranges: int64");
  declare_span_inputs(op);
  tf.op_definition_builder_add_input(op, "maskable_positions: num_maskable_positions * Tmaskable_positions");
  declare_token_ids(op);
  tf.op_definition_builder_add_output(op, "masked_ids: Tmasked_ids");
  tf.op_definition_builder_add_output(op, "labels: wants_labels * Tlabels");
  tf.op_definition_builder_add_output(op, "masked_lm_positions: wants_predictions * int32");
  tf.op_definition_builder_add_output(op, "masked_lm_ids: wants_predictions * Tmasked_ids");
  tf.op_definition_builder_add_output(op, "masked_lm_weights: wants_predictions * float32");
}

}  // namespace

void register_mask_tokens(TF_Status* status) noexcept {
  TF_OpDefinitionBuilder* const op = tf.new_op_definition_builder(kMaskTokens);
  declare(op);
  tf.op_definition_builder_set_shape_inference_function(op, infer_shape_of_first);
  tf.register_op_definition(op, status);
  if (tf.get_code(status) != kOk) return;
  tf.register_kernel_builder(kMaskTokens, tf.new_kernel_builder(kMaskTokens, "CPU", create, compute, destroy_kernel),
                             status);
}

}  // namespace maskcore_tf
