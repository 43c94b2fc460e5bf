# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""The records' binding: buffers in, one C call without the GIL, a status out.

Conversion only; checks and meaning are in _codec_native.py, the work is in csrc/records/.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t


cdef extern from "maskcore_records.h" nogil:
    int MASKCORE_RECORDS_OK

    const char* maskcore_crc32c_level(int32_t index) noexcept
    int32_t maskcore_crc32c(const char* level, const uint8_t* bytes, int64_t num_bytes, uint32_t* crc) noexcept


def crc32c_level(int32_t index):
    """Return the name of the way to compute CRC-32C at `index`, best first, or None past the end."""
    cdef const char* name = maskcore_crc32c_level(index)
    return None if name == NULL else name.decode("ascii")


def crc32c(content, bytes level=None):
    """Return the CRC-32C of a buffer, by the best level or by the one of that name."""
    cdef Py_buffer view
    cdef const char* name = NULL
    cdef uint32_t crc = 0
    cdef int32_t status
    if level is not None:
        name = level
    PyObject_GetBuffer(content, &view, PyBUF_SIMPLE)
    with nogil:
        status = maskcore_crc32c(name, <const uint8_t*>view.buf, view.len, &crc)
    PyBuffer_Release(&view)
    if status != MASKCORE_RECORDS_OK:
        raise ValueError(f"level must be one that this machine can run, got {level!r}; crc32c_level() names them")
    return crc
