# SPDX-License-Identifier: Apache-2.0
"""From the commit points of all units to the files that are published with the shards.

Owns how manifest, report and tokenizer are made from what units left. Knows nothing of how units are
done or files are published.
"""

from __future__ import annotations

from typing import Any

import maskcore
from maskcore.records.engine.accounts import UnitCounts, manifest_counts
from maskcore.records.engine.folder import BuildFolder, write_file
from maskcore.records.engine.plan import Plan
from maskcore.records.engine.scatter import ReadResult, input_hashes, no_rows
from maskcore.records.engine.unit import encoders_of, unit_result
from maskcore.records.manifest import (
    MANIFEST_FILE,
    InputEntry,
    Manifest,
    ShardEntry,
    TokenizerEntry,
)
from maskcore.records.reporting.report import REPORT_FILE, REPORT_PAGE, make_report
from maskcore.records.reporting.statistics import Statistics
from maskcore.records.tokenising.tokenise import Tokeniser

__all__ = ["assemble"]


def assemble(plan: Plan, read: ReadResult, tokeniser: Tokeniser, folder: BuildFolder) -> list[str]:
    """Write the manifest and the report into `_build`; return the names of all files to publish.

    Raises
    ------
    RecordsError
        If there are no rows at all.

    """
    shards: list[ShardEntry] = []
    counts, statistics = UnitCounts(), Statistics()
    for unit in range(plan.num_shards):
        result = unit_result(folder, unit, tokeniser.sha256)
        if result is None:
            raise RuntimeError(f"unit {unit} is not finished")
        shards += result.files
        counts.merge(result.counts)
        of_unit = Statistics.from_json(result.statistics)
        statistics.unk_id = of_unit.unk_id
        statistics.merge(of_unit)
    if counts.rows.rows == 0:
        names = [file.name for file in plan.inputs]
        raise no_rows(names, sum(counts.rows.skipped.values()))
    all_counts = {
        **manifest_counts(read.counts, counts, plan.options.dupe_factor),
        **statistics.document_counts(),
    }
    manifest = _manifest(plan, read, tokeniser, shards, all_counts)
    names = [shard.file for shard in shards]
    names.append(tokeniser.file_name)
    for name, content in zip(
        (REPORT_FILE, REPORT_PAGE), make_report(manifest, tokeniser, statistics), strict=True
    ):
        write_file(folder.build / name, content)
        names.append(name)
    write_file(folder.build / MANIFEST_FILE, manifest.to_json())
    return [*names, MANIFEST_FILE]


def _manifest(
    plan: Plan,
    read: ReadResult,
    tokeniser: Tokeniser,
    shards: list[ShardEntry],
    counts: dict[str, Any],
) -> Manifest:
    options = plan.options
    same = ("schema", "layout", "file_format", "seq_length", "bins", "pairs", "short_seq_prob", "pack",
            "dupe_factor", "mask", "mask_epochs")  # fmt: skip
    hashes = input_hashes(plan, read)
    return Manifest(
        maskcore_version=maskcore.__version__,
        algorithm_version=maskcore.ALGORITHM_VERSION,
        plan_sha256=plan.sha256,
        **{name: getattr(options, name) for name in same},
        tokenizer=TokenizerEntry(
            tokeniser.file_name,
            tokeniser.kind,
            tokeniser.sha256,
            tokeniser.vocab_size,
            tokeniser.rule.name,
            tokeniser.special,
        ),
        features={
            length: encoder.features for length, encoder in encoders_of(plan, tokeniser).items()
        },
        inputs=tuple(
            InputEntry(file.name, file.bytes, digest)
            for file, digest in zip(plan.inputs, hashes, strict=True)
        ),
        shards=tuple(sorted(shards)),
        counts=counts,
    )
