# SPDX-License-Identifier: Apache-2.0
"""The parts of reading: bytes of a file, lines, documents of each format, sentences.

`maskcore.records.inputs` and `maskcore.records.documents` are the doors; nothing else of the records
imports from here.
"""
