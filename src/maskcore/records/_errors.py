# SPDX-License-Identifier: Apache-2.0
"""The error of the record builder and readers, and the import of what is an extra.

Owns how a missing library is reported. Knows nothing of what is built.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["RecordsError", "require"]


class RecordsError(ValueError):
    """A corpus, tokenizer, target or record file that cannot be used."""


def require(module: str) -> Any:
    """Import a library of the extra `build`, or say how to get it.

    Raises
    ------
    ImportError
        If it is not installed; the text names the pip line.

    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        library = module.partition(".")[0].replace("google_crc32c", "google-crc32c")
        raise ImportError(
            f"records need {library}, which cannot be imported ({error}); pip install "
            "'maskcore[build]'"
        ) from error
