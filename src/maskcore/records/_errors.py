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


# Library -> (its name for pip, the extra that brings it); what is not here comes with `build`.
_EXTRAS = {
    "fsspec": ("fsspec", "remote"),
    "google_crc32c": ("google-crc32c", "build"),
    "pyarrow": ("pyarrow", "parquet"),
    "sentencepiece": ("sentencepiece", "sentencepiece"),
    "zstandard": ("zstandard", "zstd"),
}


def require(module: str) -> Any:
    """Import a library of an extra, or say how to get it.

    Raises
    ------
    ImportError
        If it is not installed; the text names the pip line.

    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        name, extra = _EXTRAS.get(library, (library, "build"))
        raise ImportError(
            f"records need {name}, which cannot be imported ({error}); pip install 'maskcore[{extra}]'"
        ) from error
