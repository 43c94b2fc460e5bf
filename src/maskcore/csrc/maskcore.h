/* SPDX-License-Identifier: Apache-2.0
 * The C ABI of the mask kernel: the only door into csrc/.
 *
 * Owns the description of a batch of rows. It knows nothing of Python or TensorFlow; docs/algorithm.md says what the
 * numbers mean. All arrays are C-contiguous and little-endian; B = num_rows, L = row_length, P = num_predictions. A
 * null pointer means "not given" or "not wanted".
 */
#ifndef MASKCORE_MASKCORE_H_
#define MASKCORE_MASKCORE_H_

#include <stdint.h>

#if defined(_WIN32)
#define MASKCORE_API __declspec(dllexport)
#else
#define MASKCORE_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Element kinds: integers (and bool) by their size in bytes; floats, whose sign bit does not make them nonzero. */
enum {
  MASKCORE_INT8 = 1,
  MASKCORE_INT16 = 2,
  MASKCORE_INT32 = 4,
  MASKCORE_INT64 = 8,
  MASKCORE_FLOAT32 = 36,
  MASKCORE_FLOAT64 = 40
};

/* Statuses. */
enum {
  MASKCORE_OK = 0,
  MASKCORE_OUT_OF_MEMORY = 1,
  MASKCORE_BAD_CALL = 2 /* a caller's mistake: something missing, unknown or out of range */
};

enum { MASKCORE_MAX_NGRAM = 255, MASKCORE_MAX_ROW_LENGTH = 1 << 26 };

typedef struct maskcore_call {
  /* How spans are chosen. */
  uint64_t seed;
  const uint32_t* length_thresholds; /* non-decreasing, in [0, 2^16] */
  int64_t num_length_thresholds;     /* max_n - 1 */
  int64_t ratio_e9;                  /* masking_ratio in units of 1e-9, at most 1e9; 0: budgets are given */
  int64_t budget_cap;                /* max_predictions for a ratio; -1: none */

  /* The rows. */
  int64_t num_rows;
  int64_t row_length;
  const void* maskable;       /* (B, L) of maskable_kind; may be null where input_ids are given */
  int32_t maskable_kind;      /* element kind of maskable and mask */
  int32_t input_ids_kind;     /* MASKCORE_INT16, _INT32 or _INT64: of input_ids, masked_ids, prediction_ids */
  const int32_t* word_ids;    /* (B, L) */
  const int32_t* segment_ids; /* (B, L) */
  const int64_t* budgets;     /* (B,) or null: budget */
  const int64_t* row_ids;     /* (B,) or null: first_row_id, first_row_id + 1, ... */
  const int64_t* epochs;      /* (B,) or null: epoch */
  int64_t budget;
  int64_t first_row_id;
  int64_t epoch;

  /* Token replacement; read only where input_ids are given. */
  const void* input_ids;              /* (B, L) */
  uint64_t replacement_thresholds[2]; /* non-decreasing, in [0, 2^32] */
  int64_t mask_id;
  int64_t ignore_index;
  const int32_t* random_ids;     /* (num_random_ids,) */
  int64_t num_random_ids;        /* below 2^32 */
  const int64_t* special_ranges; /* (num_special_ranges, 2): inclusive ranges of ids that are never masked */
  int64_t num_special_ranges;

  /* Outputs. */
  void* mask;            /* (B, L) of maskable_kind; may be maskable itself */
  int32_t* positions;    /* (B, P) */
  float* weights;        /* (B, P) */
  int32_t* span_numbers; /* (B, L) */
  void* masked_ids;      /* (B, L) of input_ids_kind; may be input_ids itself */
  void* labels;          /* (B, L) of labels_kind */
  void* prediction_ids;  /* (B, P) of input_ids_kind */
  int64_t num_predictions;
  int32_t labels_kind;
} maskcore_call;

/* Masks rows [first_row, stop_row) on this thread. Rows are independent: any split gives the same bits. */
MASKCORE_API int32_t maskcore_mask_row_range(const maskcore_call* call, int64_t first_row, int64_t stop_row);

/* Masks all rows on num_threads threads, none of which outlives the call. */
MASKCORE_API int32_t maskcore_mask_rows(const maskcore_call* call, int32_t num_threads);

/* One block of Philox4x32-10, for known-answer tests. */
MASKCORE_API void maskcore_philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4]);

/* The names of the instruction-set levels that this machine can run, best first; null past the end. */
MASKCORE_API const char* maskcore_simd_level(int32_t index);

/* The level in use; chosen at the first call, where the environment variable MASKCORE_SIMD may name one. Null if it
 * names none. */
MASKCORE_API const char* maskcore_active_simd_level(void);

/* Forces a level. Returns MASKCORE_BAD_CALL, and changes nothing, for one that cannot run here. */
MASKCORE_API int32_t maskcore_use_simd_level(const char* name);

#ifdef __cplusplus
}
#endif

#endif /* MASKCORE_MASKCORE_H_ */
