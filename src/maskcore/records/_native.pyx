# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""The records' binding: buffers in, one C call without the GIL, a status out.

Conversion only; checks and meaning are in _codec_native.py, the work is in csrc/records/.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE as OUTPUT, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t


cdef extern from "maskcore_records.h" nogil:
    int MASKCORE_RECORDS_OK

    ctypedef struct maskcore_feature:
        const char* name
        int64_t name_bytes
        void* column
        int64_t length
        int32_t kind, item_bytes

    ctypedef struct maskcore_rows:
        const maskcore_feature* features
        int64_t num_features, num_rows
        int64_t* payload_bytes
        int64_t* stops
        uint8_t* bytes
        int32_t is_framed

    int32_t maskcore_measure_rows(const maskcore_rows* rows, int64_t* bad_place) noexcept
    int32_t maskcore_encode_rows(const maskcore_rows* rows, int64_t* bad_place) noexcept
    int32_t maskcore_decode_rows(const maskcore_rows* rows, int64_t* bad_place) noexcept
    int32_t maskcore_frame_messages(const uint8_t* messages, const int64_t* stops, int64_t num_messages, uint8_t* records) noexcept
    int32_t maskcore_check_records(const uint8_t* bytes, int64_t size, int64_t max, int64_t* stops, int64_t* count) noexcept
    const char* maskcore_crc32c_level(int32_t index) noexcept
    int32_t maskcore_crc32c(const char* level, const uint8_t* bytes, int64_t num_bytes, uint32_t* crc) noexcept


ctypedef int32_t (*Step)(const maskcore_rows*, int64_t*) noexcept nogil
cdef enum: MEASURE, WRITE, READ
cdef Step[3] STEPS = [maskcore_measure_rows, maskcore_encode_rows, maskcore_decode_rows]


cdef struct Buffers:
    int count
    Py_buffer[67] views  # MASKCORE_MAX_FEATURES columns, and three more arrays


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


def run_rows(call, int step):
    """Measure (step 0), write (1) or read (2) rows; return the status and the place of what is wrong."""
    cdef Buffers buffers
    cdef maskcore_feature[64] features  # MASKCORE_MAX_FEATURES
    cdef maskcore_feature* feature = features
    cdef maskcore_rows rows
    cdef int64_t bad_place = -1
    buffers.count = 0
    rows.features, rows.num_features, rows.num_rows, rows.is_framed = features, len(call.columns), call.num_rows, call.is_framed
    try:
        for name, column, length, kind, item_bytes in call.columns[:64]:
            feature.name, feature.name_bytes = <bytes>name, len(name)
            feature.column = open_buffer(&buffers, column, OUTPUT if step == READ else PyBUF_SIMPLE)
            feature.length, feature.kind, feature.item_bytes = length, kind, item_bytes
            feature += 1
        rows.payload_bytes = <int64_t*>open_buffer(&buffers, call.payload_bytes, OUTPUT if step == MEASURE else PyBUF_SIMPLE)
        rows.stops = <int64_t*>open_buffer(&buffers, call.stops, OUTPUT if step == MEASURE else PyBUF_SIMPLE)
        rows.bytes = <uint8_t*>open_buffer(&buffers, call.content, OUTPUT if step == WRITE else PyBUF_SIMPLE)
        with nogil:
            status = STEPS[step](&rows, &bad_place)
    finally:
        release(&buffers)
    return status, bad_place


def frame_messages(messages, stops, records):
    """Write the records; return the status."""
    cdef Buffers buffers
    cdef int64_t num_messages = len(stops)
    cdef const uint8_t* source
    cdef const int64_t* ends
    cdef uint8_t* to
    buffers.count = 0
    try:
        source = <const uint8_t*>open_buffer(&buffers, messages, PyBUF_SIMPLE)
        ends = <const int64_t*>open_buffer(&buffers, stops, PyBUF_SIMPLE)
        to = <uint8_t*>open_buffer(&buffers, records, OUTPUT)
        with nogil:
            status = maskcore_frame_messages(source, ends, num_messages, to)
    finally:
        release(&buffers)
    return status


def check_records(content, stops):
    """Fill `stops` with the ends of sound records; return the status and how many there are."""
    cdef Buffers buffers
    cdef int64_t num_records = 0, num_bytes, max_records = len(stops)
    cdef const uint8_t* source
    cdef int64_t* ends
    buffers.count = 0
    try:
        source = <const uint8_t*>open_buffer(&buffers, content, PyBUF_SIMPLE)
        num_bytes = buffers.views[0].len
        ends = <int64_t*>open_buffer(&buffers, stops, OUTPUT)
        with nogil:
            status = maskcore_check_records(source, num_bytes, max_records, ends, &num_records)
    finally:
        release(&buffers)
    return status, num_records


def crc32c_level(int32_t index):
    """Return the name of the way to compute CRC-32C at `index`, best first, or None past the end."""
    cdef const char* name = maskcore_crc32c_level(index)
    return None if name == NULL else name.decode("ascii")


def crc32c(content, bytes level=None):
    """Return the CRC-32C of a buffer, by the best level or by the one of that name."""
    cdef Buffers buffers
    cdef const char* name = NULL if level is None else <const char*>level
    cdef uint32_t crc = 0
    cdef const uint8_t* source
    cdef int64_t num_bytes
    buffers.count = 0
    try:
        source = <const uint8_t*>open_buffer(&buffers, content, PyBUF_SIMPLE)
        num_bytes = buffers.views[0].len
        with nogil:
            status = maskcore_crc32c(name, source, num_bytes, &crc)
    finally:
        release(&buffers)
    if status != MASKCORE_RECORDS_OK:
        raise ValueError(f"level must be one that this machine can run, got {level!r}; crc32c_level() names them")
    return crc
