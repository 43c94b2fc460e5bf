# SPDX-License-Identifier: Apache-2.0
"""What stands beside the shards: manifest, tokenizer, report, and files that no build made.

Owns what is wrong there and what is merely odd. Knows nothing of records.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from maskcore.records.engine.folder import BUILD_FOLDER
from maskcore.records.manifest import MANIFEST_FILE, SHA256_FIELD, Manifest, fields_sha256
from maskcore.records.reporting.manifest_facts import disagreement
from maskcore.records.reporting.report import REPORT_FILE, REPORT_PAGE

__all__ = ["folder_problems", "folder_warnings"]

MAX_STRAY_TOLD = 3


def folder_problems(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Yield what is wrong beside the shards, each a line."""
    yield from _manifest_problems(folder / MANIFEST_FILE, manifest)
    tokenizer = folder / manifest.tokenizer.file
    if not tokenizer.is_file():
        yield f"{tokenizer}: missing, the manifest names it; copy the whole folder, or build again"
    else:
        sha256 = hashlib.sha256(tokenizer.read_bytes()).hexdigest()
        if sha256 != manifest.tokenizer.sha256:
            yield (
                f"{tokenizer}: SHA-256 {sha256}, the manifest says {manifest.tokenizer.sha256}; put "
                "the tokenizer back with which the records were made"
            )
    yield from _report_problems(folder / REPORT_FILE, manifest)
    listed = {shard.file for shard in manifest.shards}
    for name in sorted(os.listdir(folder)):
        if name.startswith("part-") and name not in listed:
            yield f"{folder / name}: {MANIFEST_FILE} does not list it; remove it"


def _manifest_problems(path: Path, manifest: Manifest) -> Iterator[str]:
    fields: dict[str, Any] = json.loads(path.read_bytes())
    stated, found = fields.get(SHA256_FIELD), fields_sha256(fields)
    if stated != found:
        yield (
            f"{path}: {SHA256_FIELD} of its fields is {found}, it says {stated}; it was changed "
            "after the build: put the build's back, or build again"
        )
    rows: Counter[str] = Counter()
    for shard in manifest.shards:
        rows[str(shard.bin_length)] += shard.records
    counted = {length: n for length, n in manifest.counts["rows_per_bin"].items() if n}
    if counted != {length: n for length, n in rows.items() if n}:
        yield (
            f"{path}: counts.rows_per_bin is {counted}, its shards have {dict(rows)}; it is no work "
            "of this maskcore, or of a defect in it"
        )


def _report_problems(path: Path, manifest: Manifest) -> Iterator[str]:
    if not path.is_file():
        return
    way_out = f"run maskcore report {path.parent}"
    try:
        report = json.loads(path.read_bytes())
    except ValueError as error:
        yield f"{path}: damaged ({type(error).__name__}: {error}); {way_out}"
        return
    name = disagreement(report, manifest) if isinstance(report, dict) else "format"
    if name is not None:
        yield f"{path}: its {name} is not that of {MANIFEST_FILE}; {way_out}"


def folder_warnings(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Yield what does the records no harm, each a line: a report that is gone, files of others."""
    missing = [name for name in (REPORT_FILE, REPORT_PAGE) if not (folder / name).is_file()]
    if missing:
        yield f"{folder}: {' and '.join(missing)} missing; run maskcore report {folder}"
    if (folder / BUILD_FOLDER).exists():
        yield f"{folder / BUILD_FOLDER}: left by a build that did not finish; remove it"
    known = {MANIFEST_FILE, manifest.tokenizer.file, REPORT_FILE, REPORT_PAGE, BUILD_FOLDER}
    stray = sorted(
        name for name in os.listdir(folder) if name not in known and not name.startswith("part-")
    )
    if stray:
        more = f" and {len(stray) - MAX_STRAY_TOLD} more" if len(stray) > MAX_STRAY_TOLD else ""
        yield (
            f"{folder}: {', '.join(stray[:MAX_STRAY_TOLD])}{more}: not of the build, which would "
            "refuse to replace such a folder; move what is yours elsewhere"
        )
