/* SPDX-License-Identifier: Apache-2.0
 * The C ABI of the word cache: text in, the chunks that have no ids yet out, ids in, all ids out.
 *
 * Owns the description of how text is cut and the order of the calls: split, fill (also when nothing is missing),
 * gather. It knows nothing of Python or tokenizers. A cache belongs to one caller at a time. No call reads or writes
 * outside the sizes that it was given, whatever the bytes are.
 */
#ifndef MASKCORE_RECORDS_MASKCORE_WORD_CACHE_H_
#define MASKCORE_RECORDS_MASKCORE_WORD_CACHE_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Statuses. */
enum { MASKCORE_WORD_CACHE_OK = 0, MASKCORE_WORD_CACHE_BAD_CALL = 1, MASKCORE_WORD_CACHE_OUT_OF_MEMORY = 2 };

/* What happens to a space at which text is cut, bits: by default it stays, at the front of the chunk behind it. */
enum { MASKCORE_CHUNKS_DROP_SPACE = 1, MASKCORE_CHUNKS_JOIN_SPACES = 2 /* several in a row are cut like one */ };

/* Characters have classes 0 to 7, and text (UTF-8) is cut
 *   at a line end, which ends a sentence, and is in no chunk;
 *   at a space whose neighbours are both of a class other than 0 (a space has class 0);
 *   between neighbours of classes a and b where cuts[8 * a + b] is 1. cuts[b] and cuts[8 * a] are 0. */
typedef struct maskcore_chunk_rule {
  const uint8_t* classes; /* (num_classes,): by code point; those beyond have class 0 */
  int64_t num_classes;    /* at least 128 */
  const uint8_t* cuts;    /* (8, 8) */
  uint32_t flags;
} maskcore_chunk_rule;

typedef struct maskcore_split_text {
  const uint8_t*
      missing; /* the chunks without ids, each once, each with a line end behind it; valid until the next call */
  int64_t missing_bytes;
  int64_t num_missing;
  int64_t num_sentences;
} maskcore_split_text;

typedef struct maskcore_word_cache maskcore_word_cache;

/* Null without memory, or for a rule that is none. */
maskcore_word_cache* maskcore_word_cache_open(const maskcore_chunk_rule* rule);
void maskcore_word_cache_close(maskcore_word_cache* cache);

/* Cuts a text in which a line end stands behind every sentence. A table of more than max_entries or max_bytes is
 * emptied before, so it exceeds them by what one text holds; without memory it is empty afterwards. */
int32_t maskcore_word_cache_split(maskcore_word_cache* cache, const uint8_t* text, int64_t num_bytes,
                                  int64_t max_entries, int64_t max_bytes, maskcore_split_text* found);

/* Takes the ids of the missing chunks, and says how many tokens the text has. */
int32_t maskcore_word_cache_fill(maskcore_word_cache* cache, const int32_t* ids, int64_t num_ids,
                                 const int64_t* lengths, int64_t num_lengths, int64_t* num_tokens);

/* Writes the ids of the text, and how many each sentence has. */
int32_t maskcore_word_cache_gather(const maskcore_word_cache* cache, int32_t* ids, int64_t num_ids, int64_t* lengths,
                                   int64_t num_lengths);

#ifdef __cplusplus
}
#endif

#endif /* MASKCORE_RECORDS_MASKCORE_WORD_CACHE_H_ */
