# SPDX-License-Identifier: Apache-2.0
"""What report.json says of the manifest beside it, and whether it still does.

Owns the fields that follow from the manifest alone. Knows nothing of rows or of how figures look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskcore.records.manifest import Manifest

__all__ = ["disagreement", "manifest_facts"]

FORMAT = "maskcore-report"
FORMAT_VERSION = 1

_OPTIONS = ("schema", "layout", "file_format", "seq_length", "bins", "pairs", "short_seq_prob",
            "pack", "dupe_factor", "mask_epochs")  # fmt: skip
_TOKENIZER = ("file", "kind", "sha256", "vocab_size", "word_rule")


def manifest_facts(manifest: Manifest) -> dict[str, Any]:
    """Return the fields of report.json that follow from the manifest; of `records`, a part."""
    options = {name: getattr(manifest, name) for name in _OPTIONS}
    counts = manifest.counts.items()
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "maskcore_version": manifest.maskcore_version,
        "algorithm_version": manifest.algorithm_version,
        "plan_sha256": manifest.plan_sha256,
        "records": {
            "rows": manifest.num_rows,
            "shards": len(manifest.shards),
            "bytes": sum(shard.bytes for shard in manifest.shards),
        },
        "counts": {name: count for name, count in counts if not name.endswith("_by_tokens")},
        "options": {**options, "bins": list(manifest.bins), "mask": manifest.mask.to_json()},
        "tokenizer": {name: getattr(manifest.tokenizer, name) for name in _TOKENIZER},
        "inputs": [{"name": entry.name, "bytes": entry.bytes} for entry in manifest.inputs],
    }


def disagreement(report: Mapping[str, Any], manifest: Manifest) -> str | None:
    """Return the first field in which a report.json is not of this manifest; None if it is."""
    for name, expected in manifest_facts(manifest).items():
        found = report.get(name)
        if name == "records" and isinstance(found, Mapping):
            found = {inner: found.get(inner) for inner in expected}
        if found != expected:
            return name
    return None
