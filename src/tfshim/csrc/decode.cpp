// SPDX-License-Identifier: Apache-2.0
// The checks of decode.hpp. TensorFlow has checked dtypes by the ops' declarations; everything else is checked here.
#include "decode.hpp"

#include <string.h>

namespace maskcore_tf {
namespace {

// Bounds of an integer argument, as maskcore/_checks.py words them.
struct Range {
  const char* argument;
  int64_t low;
  int64_t last;
  const char* bounds;
  const char* remedy;

  bool holds(int64_t value) const noexcept { return low <= value && value <= last; }
  void refuse(int64_t value, Failure& failure) const noexcept { failure.refuse(argument, bounds, value, remedy); }
};

constexpr Range kBudget = {"num_tokens_to_mask", 0, INT64_MAX, ">= 0",
                           "pass 0 to mask nothing; more than maskable masks all"};
constexpr Range kMaxN = {"max_n", 1, MASKCORE_MAX_NGRAM, "in [1, 255]",
                         "it is the longest n-gram in units, 3 in ALBERT"};
constexpr Range kEpoch = {"epoch", 0, INT32_MAX, "in [0, 2**31)", "pass the number of the pass over the data"};
constexpr Range kSeed = {"seed", 0, INT64_MAX, "in [0, 2**63)", "pass a number, the same for all epochs"};
constexpr Range kRowIds = {"row_ids", 0, INT64_MAX, "in [0, 2**63)", "pass the ids stored with the rows"};

struct ShapeReceived {
  char text[216];

  explicit ShapeReceived(const Tensor& tensor) noexcept {
    snprintf(text, sizeof text, "shape %s", tensor.shape_text().text);
  }
};

void check_is_rows(const char* argument, const Tensor& tensor, Failure& failure) noexcept {
  const int rank = tensor.rank();
  if (rank != 1 && rank != 2) {
    failure.refuse(argument, "of shape (L,) or (B, L)", ShapeReceived(tensor).text, "pass one row, or a batch of rows");
  } else if (tensor.dim(rank - 1) > MASKCORE_MAX_ROW_LENGTH) {
    failure.refuse(argument, "rows of at most 2**26 tokens", tensor.dim(rank - 1), "split longer rows");
  }
}

// Index of the first NaN, or -1. By bits: above infinity once the sign is shifted out.
template <class Bits>
int64_t find_nan(const Bits* values, int64_t size, Bits infinity) noexcept {
  constexpr int64_t kBlock = 64;  // a fixed count, which compilers turn into vector compares
  int64_t first = 0;
  for (; first + kBlock <= size; first += kBlock) {
    Bits found = 0;
    for (int64_t i = 0; i < kBlock; ++i)
      found |= static_cast<Bits>(static_cast<Bits>(values[first + i] << 1) > infinity);
    if (found != 0) break;
  }
  for (; first < size; ++first) {
    if (static_cast<Bits>(values[first] << 1) > infinity) return first;
  }
  return -1;
}

void check_no_nan(const Tensor& maskable, Failure& failure) noexcept {
  const int64_t size = maskable.num_elements();
  int64_t at = -1;
  if (maskable.type() == kFloat32)
    at = find_nan<uint32_t>(static_cast<const uint32_t*>(maskable.data()), size, 0xFF000000u);
  else if (maskable.type() == kFloat64)
    at = find_nan<uint64_t>(static_cast<const uint64_t*>(maskable.data()), size, uint64_t{0xFFE} << 52);
  if (at < 0) return;
  const int rank = maskable.rank();
  const int64_t length = maskable.dim(rank - 1);
  const int64_t where[2] = {at / length, at % length};
  const TupleText index(rank, [&](int axis) { return where[axis + 2 - rank]; });
  char received[216];
  snprintf(received, sizeof received, "NaN at %s", index.text);
  failure.refuse("maskable_positions", "free of NaN", received, "pass 0 or 1 for each token");
}

// The shape of `tensor` is that of the rows without their length.
bool is_one_per_row(const Tensor& tensor, const Rows& rows) noexcept {
  return tensor.rank() == rows.rank - 1 && (rows.rank == 1 || tensor.dim(0) == rows.num_rows);
}

// As maskcore names it: the first value that is too small, or the first that is too large where none is.
void check_per_row(const int64_t* values, int64_t size, const Range& range, Failure& failure) noexcept {
  int64_t worst = -1;
  for (int64_t row = 0; row < size; ++row) {
    const bool is_too_small = values[row] < range.low;
    if (is_too_small || (values[row] > range.last && worst < 0)) worst = row;
    if (is_too_small) break;
  }
  if (worst < 0) return;
  char received[64];
  snprintf(received, sizeof received, "%lld in row %lld", static_cast<long long>(values[worst]),
           static_cast<long long>(worst));
  failure.refuse(range.argument, range.bounds, received, range.remedy);
}

// One checked value for each row; null where there are no rows or on failure.
const int64_t* decode_per_row(const Tensor& tensor, const int64_t* values, const Rows& rows, const Range& range,
                              Failure& failure) noexcept {
  if (!is_one_per_row(tensor, rows)) {
    char constraint[64];
    snprintf(constraint, sizeof constraint, "one for each row, shape %s",
             TupleText(rows.rank - 1, [&](int) { return rows.num_rows; }).text);
    failure.refuse(range.argument, constraint, ShapeReceived(tensor).text, range.remedy);
    return nullptr;
  }
  check_per_row(values, rows.num_rows, range, failure);
  return values;
}

const int64_t* widen(const Tensor& tensor, Buffer<int64_t>& widened, Failure& failure) noexcept {
  if (tensor.type() == kInt64) return static_cast<const int64_t*>(tensor.data());
  const int64_t size = tensor.num_elements();
  if (size == 0) return nullptr;
  int64_t* const wide = widened.allocate(size, failure);
  if (wide == nullptr) return nullptr;
  const int32_t* const given = static_cast<const int32_t*>(tensor.data());
  for (int64_t i = 0; i < size; ++i) wide[i] = given[i];
  return wide;
}

template <class Id>
void convert_as(const char* argument, const void* ids, int64_t size, Numbering numbering, const char* remedy,
                int32_t* converted, Failure& failure) noexcept {
  const Id* const given = static_cast<const Id*>(ids);
  constexpr uint64_t kBelowInt32 = uint64_t{1} << 31;
  uint64_t found = 0;  // has high bits where a number does not fit int32
  for (int64_t i = 0; i < size; ++i) {
    const int32_t id = static_cast<int32_t>(given[i]);
    if (sizeof(Id) > sizeof id) found |= static_cast<uint64_t>(given[i]) + kBelowInt32;
    converted[i] = id < numbering.first ? -1 : id - numbering.base;
  }
  if (found >> 32 == 0) return;
  int64_t low = 0, high = 0;
  for (int64_t i = 0; i < size; ++i) {
    low = given[i] < low ? given[i] : low;
    high = given[i] > high ? given[i] : high;
  }
  failure.refuse(argument, "in [-2**31, 2**31)", low < INT32_MIN ? low : high, remedy);
}

int64_t scalar_of(const Tensor& tensor) noexcept {
  if (tensor.type() == kInt32) return *static_cast<const int32_t*>(tensor.data());
  return *static_cast<const int64_t*>(tensor.data());
}

bool decode_scalar(const Tensor& tensor, const Range& range, int64_t& value, Failure& failure) noexcept {
  if (tensor.rank() != 0) {
    failure.refuse(range.argument, "a scalar", ShapeReceived(tensor).text, range.remedy);
    return false;
  }
  value = scalar_of(tensor);
  if (!range.holds(value)) range.refuse(value, failure);
  return range.holds(value);
}

}  // namespace

maskcore_call empty_call() noexcept {
  maskcore_call call;
  memset(&call, 0, sizeof call);
  call.budget_cap = -1;
  return call;
}

int32_t element_kind(DataType type) noexcept {
  switch (type) {
    case kBool:
    case kInt8:
    case kUint8:
      return MASKCORE_INT8;
    case kInt16:
    case kUint16:
      return MASKCORE_INT16;
    case kInt32:
    case kUint32:
      return MASKCORE_INT32;
    case kInt64:
    case kUint64:
      return MASKCORE_INT64;
    case kFloat32:
      return MASKCORE_FLOAT32;
    case kFloat64:
      return MASKCORE_FLOAT64;
  }
  return 0;
}

void check_one_per_token(const char* argument, const Tensor& tensor, const Rows& rows, Failure& failure) noexcept {
  if (rows.is_shape_of(tensor)) return;
  char constraint[256];
  snprintf(constraint, sizeof constraint, "of the shape of %s, %s", rows.argument, rows.shape_text().text);
  failure.refuse(argument, constraint, ShapeReceived(tensor).text, "pass one for each token");
}

Rows decode_rows(const char* argument, const Tensor& tensor, maskcore_call& call, Failure& failure) noexcept {
  Rows rows;
  check_is_rows(argument, tensor, failure);
  if (failure.has_failed()) return rows;
  rows.argument = argument;
  rows.rank = tensor.rank();
  rows.num_rows = rows.rank == 1 ? 1 : tensor.dim(0);
  rows.row_length = tensor.dim(rows.rank - 1);
  call.num_rows = rows.num_rows;
  call.row_length = rows.row_length;
  return rows;
}

void decode_maskable(const Tensor& maskable, const Rows& rows, maskcore_call& call, Failure& failure) noexcept {
  check_is_rows("maskable_positions", maskable, failure);
  if (!failure.has_failed()) check_no_nan(maskable, failure);
  if (!failure.has_failed()) check_one_per_token("maskable_positions", maskable, rows, failure);
  call.maskable = maskable.data();
  call.maskable_kind = element_kind(maskable.type());
}

void decode_budget(const Tensor& budget, int64_t cap, const Rows& rows, Buffer<int64_t>& widened, maskcore_call& call,
                   Failure& failure) noexcept {
  int64_t largest = 0;
  if (budget.rank() == 0) {
    if (!decode_scalar(budget, kBudget, call.budget, failure)) return;
    largest = call.budget;
  } else {
    const int64_t* const values = widen(budget, widened, failure);
    if (failure.has_failed()) return;
    call.budgets = decode_per_row(budget, values, rows, kBudget, failure);
    if (failure.has_failed()) return;
    for (int64_t row = 0; row < rows.num_rows; ++row) largest = values[row] > largest ? values[row] : largest;
  }
  if (cap == kNoCap || largest <= cap) return;
  char constraint[64];
  snprintf(constraint, sizeof constraint, "at most max_predictions = %lld", static_cast<long long>(cap));
  failure.refuse("num_tokens_to_mask", constraint, largest,
                 "raise max_predictions, or pass masking_ratio, which it caps");
}

const int32_t* decode_token_ids(const char* argument, const Tensor& ids, const Rows& rows, Numbering numbering,
                                Buffer<int32_t>& converted, Failure& failure) noexcept {
  check_one_per_token(argument, ids, rows, failure);
  if (failure.has_failed()) return nullptr;
  const bool is_as_stored = numbering.first == kAsStored.first;
  if (ids.type() == kInt32 && is_as_stored) return static_cast<const int32_t*>(ids.data());
  const int64_t size = ids.num_elements();
  if (size == 0) return nullptr;
  int32_t* const numbers = converted.allocate(size, failure);
  if (numbers == nullptr) return nullptr;
  convert_ids(argument, ids, numbering, "number them from 0 in each row", numbers, failure);
  return failure.has_failed() ? nullptr : numbers;
}

void convert_ids(const char* argument, const Tensor& ids, Numbering numbering, const char* remedy, int32_t* converted,
                 Failure& failure) noexcept {
  const int64_t size = ids.num_elements();
  switch (ids.type()) {
    case kUint8:
      return convert_as<uint8_t>(argument, ids.data(), size, numbering, remedy, converted, failure);
    case kUint16:
      return convert_as<uint16_t>(argument, ids.data(), size, numbering, remedy, converted, failure);
    case kInt16:
      return convert_as<int16_t>(argument, ids.data(), size, numbering, remedy, converted, failure);
    case kInt32:
      return convert_as<int32_t>(argument, ids.data(), size, numbering, remedy, converted, failure);
    default:
      return convert_as<int64_t>(argument, ids.data(), size, numbering, remedy, converted, failure);
  }
}

void decode_length_thresholds(const Tensor& thresholds, maskcore_call& call, Failure& failure) noexcept {
  constexpr const char* kRemedy = "make them with maskcore, as tfshim.get_masking_position does";
  if (thresholds.rank() != 1 || thresholds.dim(0) >= MASKCORE_MAX_NGRAM) {
    failure.refuse("length_thresholds", "a vector of max_n - 1 <= 254 numbers", ShapeReceived(thresholds).text,
                   kRemedy);
    return;
  }
  const int32_t* const values = static_cast<const int32_t*>(thresholds.data());
  int32_t before = 0;
  for (int64_t j = 0; j < thresholds.dim(0); ++j) {
    if (values[j] < before || values[j] > 1 << 16) {
      failure.refuse("length_thresholds", "in [0, 2**16], and none below the one before it", values[j], kRemedy);
      return;
    }
    before = values[j];
  }
  call.length_thresholds = reinterpret_cast<const uint32_t*>(values);
  call.num_length_thresholds = thresholds.dim(0);
}

int32_t decode_max_n(const Tensor& max_n, Failure& failure) noexcept {
  int64_t value = 0;
  return decode_scalar(max_n, kMaxN, value, failure) ? static_cast<int32_t>(value) : 0;
}

void decode_epoch(const Tensor& epoch, const Rows& rows, maskcore_call& call, Failure& failure) noexcept {
  if (epoch.rank() == 0)
    decode_scalar(epoch, kEpoch, call.epoch, failure);
  else
    call.epochs = decode_per_row(epoch, static_cast<const int64_t*>(epoch.data()), rows, kEpoch, failure);
}

void check_seed(int64_t seed, Failure& failure) noexcept {
  if (!kSeed.holds(seed)) kSeed.refuse(seed, failure);
}

void decode_seed(const Tensor& seed, maskcore_call& call, Failure& failure) noexcept {
  int64_t value = 0;
  if (decode_scalar(seed, kSeed, value, failure)) call.seed = static_cast<uint64_t>(value);
}

void decode_row_ids(const Tensor& row_ids, const Rows& rows, maskcore_call& call, Failure& failure) noexcept {
  call.row_ids = decode_per_row(row_ids, static_cast<const int64_t*>(row_ids.data()), rows, kRowIds, failure);
}

void run_kernel(const maskcore_call& call, const Rows& rows, Failure& failure) noexcept {
  if (rows.is_empty()) return;
  switch (maskcore_mask_row_range(&call, 0, call.num_rows)) {
    case MASKCORE_OK:
      return;
    case MASKCORE_OUT_OF_MEMORY:
      return failure.fail(kResourceExhausted, "out of memory while masking");
    default:
      return failure.fail(kInternal, maskcore_active_simd_level() == nullptr
                                         ? "MASKCORE_SIMD names no level that can run here; unset it"
                                         : "the mask kernel refused a call that had been checked");
  }
}

}  // namespace maskcore_tf
