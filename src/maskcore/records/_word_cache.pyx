# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""The word cache's binding: buffers in, one C call without the GIL, a status out.

Conversion only; checks and meaning are in word_cache.py, the work is in csrc/records/word_cache.cpp.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t


cdef extern from "maskcore_word_cache.h" nogil:
    int MASKCORE_WORD_CACHE_OK
    int MASKCORE_WORD_CACHE_OUT_OF_MEMORY

    ctypedef struct maskcore_chunk_rule:
        const uint8_t* classes
        int64_t num_classes
        const uint8_t* cuts
        uint32_t flags

    ctypedef struct maskcore_split_text:
        const uint8_t* missing
        int64_t missing_bytes, num_missing, num_sentences

    ctypedef struct maskcore_word_cache:
        pass

    maskcore_word_cache* maskcore_word_cache_open(const maskcore_chunk_rule* rule) noexcept
    void maskcore_word_cache_close(maskcore_word_cache* cache) noexcept
    int32_t maskcore_word_cache_split(
        maskcore_word_cache* cache, const uint8_t* text, int64_t num_bytes, int64_t max_entries, int64_t max_bytes,
        maskcore_split_text* found) noexcept
    int32_t maskcore_word_cache_fill(
        maskcore_word_cache* cache, const int32_t* ids, int64_t num_ids, const int64_t* lengths, int64_t num_lengths,
        int64_t* num_tokens) noexcept
    int32_t maskcore_word_cache_gather(
        const maskcore_word_cache* cache, int32_t* ids, int64_t num_ids, int64_t* lengths, int64_t num_lengths) noexcept


cdef int check(int32_t status) except -1:
    if status == MASKCORE_WORD_CACHE_OUT_OF_MEMORY:
        raise MemoryError("no memory for the word cache, or more than 4 GiB in it")
    if status != MASKCORE_WORD_CACHE_OK:
        raise RuntimeError(f"the word cache refused a call (status {status})")
    return 0


cdef class WordTable:
    """Chunk of text -> token ids, and the cutting of text into chunks."""

    cdef maskcore_word_cache* cache

    def __cinit__(self, bytes classes, bytes cuts, uint32_t flags):
        cdef maskcore_chunk_rule rule
        if len(cuts) != 64:
            raise ValueError(f"cuts must be 64 bytes, got {len(cuts)}")
        rule.classes, rule.num_classes, rule.cuts, rule.flags = classes, len(classes), cuts, flags
        self.cache = maskcore_word_cache_open(&rule)
        if self.cache == NULL:
            raise MemoryError("no memory for the word cache, or a rule that is none")

    def __dealloc__(self):
        maskcore_word_cache_close(self.cache)

    def split(self, bytes text, int64_t max_entries, int64_t max_bytes):
        """Return the number of sentences, and the missing chunks as a text of lines."""
        cdef maskcore_split_text found
        cdef const uint8_t* begin = text
        cdef int64_t num_bytes = len(text)
        cdef int32_t status
        with nogil:
            status = maskcore_word_cache_split(self.cache, begin, num_bytes, max_entries, max_bytes, &found)
        check(status)
        return found.num_sentences, (<const char*>found.missing)[:found.missing_bytes]

    def fill(self, ids, lengths):
        """Give the ids of the missing chunks (int32, int64), and return the number of tokens of the text."""
        cdef Py_buffer of_ids, of_lengths
        cdef int64_t num_tokens = 0
        cdef int32_t status
        PyObject_GetBuffer(ids, &of_ids, PyBUF_SIMPLE)
        try:
            PyObject_GetBuffer(lengths, &of_lengths, PyBUF_SIMPLE)
            with nogil:
                status = maskcore_word_cache_fill(
                    self.cache, <const int32_t*>of_ids.buf, of_ids.len // 4,
                    <const int64_t*>of_lengths.buf, of_lengths.len // 8, &num_tokens)
            PyBuffer_Release(&of_lengths)
        finally:
            PyBuffer_Release(&of_ids)
        check(status)
        return num_tokens

    def gather(self, ids, lengths):
        """Write the ids of the text (int32), and how many each sentence has (int64)."""
        cdef Py_buffer of_ids, of_lengths
        cdef int32_t status
        PyObject_GetBuffer(ids, &of_ids, PyBUF_WRITABLE)
        try:
            PyObject_GetBuffer(lengths, &of_lengths, PyBUF_WRITABLE)
            with nogil:
                status = maskcore_word_cache_gather(
                    self.cache, <int32_t*>of_ids.buf, of_ids.len // 4, <int64_t*>of_lengths.buf, of_lengths.len // 8)
            PyBuffer_Release(&of_lengths)
        finally:
            PyBuffer_Release(&of_ids)
        check(status)
