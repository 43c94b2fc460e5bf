# SPDX-License-Identifier: Apache-2.0
"""What the tests of the records share."""

import hashlib
import os


def hashes(folder):
    """Return {file name: SHA-256} of a folder."""
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in sorted(os.listdir(folder))
    }
