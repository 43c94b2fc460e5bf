/* SPDX-License-Identifier: Apache-2.0
 * The C ABI of the record encoder: checksums, TFRecord frames, and tf.train.Example messages of fixed layout.
 *
 * Owns the description of a batch of rows on their way to bytes and back. It knows nothing of Python, files, or what
 * the features mean. All arrays are C-contiguous and little-endian. A record is a message in its frame: 12 bytes before
 * it and 4 behind; docs/records.md draws it. No call writes outside the sizes that it was given, whatever the bytes
 * are.
 */
#ifndef MASKCORE_RECORDS_MASKCORE_RECORDS_H_
#define MASKCORE_RECORDS_MASKCORE_RECORDS_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Statuses. */
enum {
  MASKCORE_RECORDS_OK = 0,
  MASKCORE_RECORDS_BAD_CALL = 1,        /* a caller's mistake: something missing, unknown or out of range */
  MASKCORE_RECORDS_NEGATIVE = 2,        /* a value below 0 */
  MASKCORE_RECORDS_OTHER_LAYOUT = 3,    /* a message that does not hold the features asked for */
  MASKCORE_RECORDS_LENGTH_DAMAGED = 4,  /* the checksum of a record's length does not match */
  MASKCORE_RECORDS_CONTENT_DAMAGED = 5, /* the checksum of its message does not match */
};

/* Kinds of features, by their field numbers in tensorflow/core/example/feature.proto. */
enum { MASKCORE_BYTES_LIST = 1, MASKCORE_FLOAT_LIST = 2, MASKCORE_INT64_LIST = 3 };

enum { MASKCORE_MAX_FEATURE_LENGTH = 1 << 26, MASKCORE_MAX_FEATURES = 64, MASKCORE_MAX_NAME_BYTES = 1 << 10 };

/* A feature and its column. Rows hold `length` items: signed integers of item_bytes (1, 2, 4 or 8; decoded: 8) for an
 * int64 list, floats of 4 bytes, or the bytes of a single value. */
typedef struct maskcore_feature {
  const char* name;
  int64_t name_bytes; /* at most MASKCORE_MAX_NAME_BYTES */
  void* column;       /* (num_rows, length); only read when encoding */
  int64_t length;     /* in [1, MASKCORE_MAX_FEATURE_LENGTH] */
  int32_t kind;
  int32_t item_bytes;
} maskcore_feature;

typedef struct maskcore_rows {
  const maskcore_feature* features; /* in the order of their names */
  int64_t num_features;             /* at most MASKCORE_MAX_FEATURES */
  int64_t num_rows;
  int64_t* payload_bytes; /* (num_rows, num_features): how long the lists are; not used when decoding */
  int64_t* stops;         /* (num_rows,): where each row ends in `bytes` */
  uint8_t* bytes;         /* (stops[num_rows - 1],); only read when decoding, not used when measuring */
  int32_t is_framed;      /* records, or else bare messages one after the other */
} maskcore_rows;

/* Each says in *bad_place what is wrong: row * num_features + feature of a negative value, or the row of a message. */

/* Fills payload_bytes and stops. */
int32_t maskcore_measure_rows(const maskcore_rows* rows, int64_t* bad_place);

/* Fills bytes, given what maskcore_measure_rows said of the same columns; it is a bad call if they changed. */
int32_t maskcore_encode_rows(const maskcore_rows* rows, int64_t* bad_place);

/* Fills the columns. Checksums are not looked at. Lists may hold any varints of at most nine bytes. */
int32_t maskcore_decode_rows(const maskcore_rows* rows, int64_t* bad_place);

/* Frames messages that end at stops; writes stops[num_messages - 1] + 16 * num_messages bytes. */
int32_t maskcore_frame_messages(const uint8_t* messages, const int64_t* stops, int64_t num_messages, uint8_t* records);

/* Checks records from the start of the bytes until they end, end within a record, max_records are checked, or one is
 * damaged; says how many are sound and where each ends, stops (max_records,). */
int32_t maskcore_check_records(const uint8_t* bytes, int64_t num_bytes, int64_t max_records, int64_t* stops,
                               int64_t* num_records);

/* The names of the ways in which this machine can compute CRC-32C, best first; null past the end. */
const char* maskcore_crc32c_level(int32_t index);

/* The CRC-32C (RFC 3720, 12.1) of num_bytes bytes, by the best level where `level` is null. */
int32_t maskcore_crc32c(const char* level, const uint8_t* bytes, int64_t num_bytes, uint32_t* crc);

#ifdef __cplusplus
}
#endif

#endif /* MASKCORE_RECORDS_MASKCORE_RECORDS_H_ */
