# SPDX-License-Identifier: Apache-2.0
"""What type checkers see of the records' compiled binding, _native.pyx."""

from _typeshed import ReadableBuffer

def crc32c_level(index: int) -> str | None: ...
def crc32c(content: ReadableBuffer, level: bytes | None = None) -> int: ...
