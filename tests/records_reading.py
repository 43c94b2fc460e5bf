# SPDX-License-Identifier: Apache-2.0
"""Short words for the tests of reading: write a file, read its documents."""

from maskcore.records.reading.documents import ReadCounts, ReadOptions, read_documents
from maskcore.records.reading.inputs import find_inputs
from maskcore.records.reading.model import LIMITS


def file_of(folder, name, content, **kwargs):
    """Write a file and find it."""
    path = folder / name
    path.write_bytes(content)
    [file] = find_inputs(path, **kwargs)
    return file


def counts_of(file, start=0, stop=None, *, limits=LIMITS, **options):
    """Return the documents and the counts."""
    counts = ReadCounts()
    documents = list(
        read_documents(file, ReadOptions(**options), counts, start, stop, limits=limits)
    )
    return documents, counts


def read(file, start=0, stop=None, *, limits=LIMITS, **options):
    """Return the documents."""
    return counts_of(file, start, stop, limits=limits, **options)[0]
