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
  MASKCORE_RECORDS_BAD_CALL = 1 /* a caller's mistake: something missing, unknown or out of range */
};

/* The names of the ways in which this machine can compute CRC-32C, best first; null past the end. */
const char* maskcore_crc32c_level(int32_t index);

/* The CRC-32C (RFC 3720, 12.1) of num_bytes bytes, by the best level where `level` is null. */
int32_t maskcore_crc32c(const char* level, const uint8_t* bytes, int64_t num_bytes, uint32_t* crc);

#ifdef __cplusplus
}
#endif

#endif /* MASKCORE_RECORDS_MASKCORE_RECORDS_H_ */
