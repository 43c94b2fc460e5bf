# SPDX-License-Identifier: Apache-2.0
"""The parts of reading: bytes of a file, lines, documents of each format, sentences.

`inputs` and `documents` are the doors; beside them only `storage` is
used from outside, for hashes of what is stored. Nothing here knows of tokens.
"""
