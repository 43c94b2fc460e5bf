# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""The binding: buffers in, one C call without the GIL, a status out.

Conversion only, by the raw buffer protocol: under the limited API it costs half of what typed memoryviews do. Checks and meaning are
in masking.py, the algorithm in csrc/.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AsString
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memset


cdef extern from "maskcore.h" nogil:
    int MASKCORE_OK
    int MASKCORE_OUT_OF_MEMORY

    ctypedef struct maskcore_call:
        uint64_t seed
        const uint32_t* length_thresholds
        int64_t num_length_thresholds, ratio_e9, budget_cap
        int64_t num_rows, row_length
        const void* maskable
        int32_t maskable_kind, input_ids_kind
        const int32_t* word_ids
        const int32_t* segment_ids
        const int64_t* budgets
        const int64_t* row_ids
        const int64_t* epochs
        int64_t budget, first_row_id, epoch
        const void* input_ids
        uint64_t[2] replacement_thresholds
        int64_t mask_id, ignore_index
        const int32_t* random_ids
        int64_t num_random_ids
        const int64_t* special_ranges
        int64_t num_special_ranges
        void* mask
        int32_t* positions
        float* weights
        int32_t* span_numbers
        void* masked_ids
        void* labels
        void* prediction_ids
        int64_t num_predictions
        int32_t labels_kind

    int32_t maskcore_mask_rows(const maskcore_call* call, int32_t num_threads) noexcept
    void maskcore_philox4x32_10(const uint32_t* counter, const uint32_t* key, uint32_t* words) noexcept
    const char* maskcore_simd_level(int32_t index) noexcept
    const char* maskcore_active_simd_level() noexcept
    int32_t maskcore_use_simd_level(const char* name) noexcept


cdef struct Buffers:
    int count
    Py_buffer[16] views  # one for each array of a call


cdef void* open_buffer(Buffers* buffers, object array, int flags) except? NULL:
    if array is None:
        return NULL
    cdef Py_buffer* view = &buffers.views[buffers.count]
    PyObject_GetBuffer(array, view, flags)
    buffers.count += 1
    return view.buf


cdef void release(Buffers* buffers) noexcept:
    while buffers.count > 0:
        buffers.count -= 1
        PyBuffer_Release(&buffers.views[buffers.count])


# numpy's dtype.char -> element kind of maskcore.h; integers are known by their size.
cdef dict KINDS = (
    dict.fromkeys("?bB", 1) | dict.fromkeys("hH", 2) | dict.fromkeys("iI", 4) | dict.fromkeys("lLqQ", 8) | {"f": 36, "d": 40}
)


def mask_rows(call):
    """Fill the outputs of `call`."""
    cdef maskcore_call c
    cdef Buffers buffers
    cdef int32_t status, num_threads = call.num_threads
    memset(&c, 0, sizeof(c))
    buffers.count = 0
    params, tokens = call.span_params, call.token_params
    c.seed, c.num_rows, c.row_length = call.seed, call.num_rows, call.row_length
    c.budget, c.epoch, c.first_row_id = call.budget, call.epoch, call.first_row_id
    c.ratio_e9, c.budget_cap = params.ratio_e9, params.budget_cap
    try:
        thresholds = params.length_thresholds_bytes
        c.length_thresholds = <const uint32_t*>PyBytes_AsString(thresholds)
        c.num_length_thresholds = len(thresholds) // sizeof(uint32_t)
        c.maskable = open_buffer(&buffers, call.maskable, PyBUF_SIMPLE)
        c.maskable_kind = 0 if c.maskable == NULL else KINDS[call.maskable.dtype.char]
        c.word_ids = <const int32_t*>open_buffer(&buffers, call.word_ids, PyBUF_SIMPLE)
        c.segment_ids = <const int32_t*>open_buffer(&buffers, call.segment_ids, PyBUF_SIMPLE)
        c.budgets = <const int64_t*>open_buffer(&buffers, call.budgets, PyBUF_SIMPLE)
        c.row_ids = <const int64_t*>open_buffer(&buffers, call.row_ids, PyBUF_SIMPLE)
        c.epochs = <const int64_t*>open_buffer(&buffers, call.epochs, PyBUF_SIMPLE)
        c.mask = open_buffer(&buffers, call.mask, PyBUF_WRITABLE)
        c.span_numbers = <int32_t*>open_buffer(&buffers, call.span_numbers, PyBUF_WRITABLE)
        c.positions = <int32_t*>open_buffer(&buffers, call.positions, PyBUF_WRITABLE)
        if c.positions != NULL:
            c.num_predictions = call.positions.shape[1]
            c.weights = <float*>open_buffer(&buffers, call.weights, PyBUF_WRITABLE)
        if tokens is not None:
            c.input_ids = open_buffer(&buffers, call.input_ids, PyBUF_SIMPLE)
            c.masked_ids = open_buffer(&buffers, call.masked_ids, PyBUF_WRITABLE)
            c.labels = open_buffer(&buffers, call.labels, PyBUF_WRITABLE)
            c.input_ids_kind = KINDS[call.input_ids.dtype.char]
            c.labels_kind = 0 if c.labels == NULL else KINDS[call.labels.dtype.char]
            c.prediction_ids = open_buffer(&buffers, call.prediction_ids, PyBUF_WRITABLE)
            c.random_ids = <const int32_t*>open_buffer(&buffers, tokens.random_ids, PyBUF_SIMPLE)
            c.special_ranges = <const int64_t*>open_buffer(&buffers, tokens.special_ranges, PyBUF_SIMPLE)
            c.num_random_ids, c.num_special_ranges = len(tokens.random_ids), len(tokens.special_ranges)
            c.replacement_thresholds[0], c.replacement_thresholds[1] = tokens.replacement_thresholds
            c.mask_id, c.ignore_index = tokens.mask_id, tokens.ignore_index
        with nogil:
            status = maskcore_mask_rows(&c, num_threads)
    finally:
        release(&buffers)
    if status == MASKCORE_OUT_OF_MEMORY:
        raise MemoryError(f"no memory to mask rows of {call.row_length} tokens")
    if status != MASKCORE_OK:
        raise RuntimeError(f"the kernel refused a call (status {status}); MASKCORE_SIMD may name a level this machine lacks")


def philox4x32_10(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1):
    """Return one block of the generator, for known-answer tests."""
    cdef uint32_t[4] counter = [c0, c1, c2, c3]
    cdef uint32_t[2] key = [k0, k1]
    cdef uint32_t[4] words
    maskcore_philox4x32_10(counter, key, words)
    return words[0], words[1], words[2], words[3]


def simd_level(int32_t index):
    """Return the name of the level at `index`, best first, or None past the end."""
    cdef const char* name = maskcore_simd_level(index)
    return None if name == NULL else name.decode("ascii")


def active_simd_level():
    """Return the name of the level in use, or None if MASKCORE_SIMD names none."""
    cdef const char* name = maskcore_active_simd_level()
    return None if name == NULL else name.decode("ascii")


def use_simd_level(name):
    """Force a level; return whether it can run here."""
    return maskcore_use_simd_level(name.encode("ascii")) == MASKCORE_OK
