# SPDX-License-Identifier: Apache-2.0
"""The proof of a finished folder: checksums, counts, shapes, contents."""
