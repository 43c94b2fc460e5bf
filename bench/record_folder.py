# SPDX-License-Identifier: Apache-2.0
"""Folders of records as `maskcore build` makes them, of the rows of `bench/workload.py`.

Owns the manifest and the files. Knows nothing of what reads them, or of TensorFlow.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import maskcore
from bench import workload
from maskcore.config import MaskConfig
from maskcore.records.encoding.layouts import TFRecordEncoder
from maskcore.records.encoding.schema import RowFormat
from maskcore.records.manifest import Manifest, ShardEntry, TokenizerEntry
from maskcore.records.tokenising.tokenise import SpecialToken

MASK = MaskConfig(seed=workload.SEED, masking_ratio=0.15, max_predictions=19)
SPECIAL = {
    role: SpecialToken(f"[{role.upper()}]", number)
    for number, role in enumerate(("pad", "unk", "cls", "sep", "mask"))
}


def write(folder: Path, layout: str, num_files: int, rows_per_file: int) -> Path:
    """Write records and their manifest; return the folder."""
    form = RowFormat(
        schema="maskcore",
        layout=layout,
        file_format="tfrecord",
        seq_length=workload.ROW_LENGTH,
        has_labels=False,
        pack=False,
        mask=MASK,
        mask_epochs=0,
        vocab_size=workload.VOCAB_SIZE,
        special_tokens=SPECIAL,
    )
    encoder = TFRecordEncoder(form)
    columns = workload.record_columns(num_files * rows_per_file, workload.ROW_LENGTH)
    mixed = np.random.default_rng(workload.SEED).permutation(len(columns["row_id"]))
    shards = []
    for number in range(num_files):
        own = mixed[number * rows_per_file : (number + 1) * rows_per_file]
        path = folder / f"part-{number:05}-of-{num_files:05}.tfrecord"
        with path.open("wb") as stream:
            writer = encoder.begin(stream)
            writer.write({name: column[own] for name, column in columns.items()})
            written = writer.finish()
        shards.append(ShardEntry(path.name, form.seq_length, *written))
    tokenizer = TokenizerEntry("none", "none", "", workload.VOCAB_SIZE, "wordpiece ##", SPECIAL)
    manifest = Manifest(
        maskcore_version=maskcore.__version__,
        algorithm_version=maskcore.ALGORITHM_VERSION,
        plan_sha256="",
        schema=form.schema,
        layout=layout,
        file_format=form.file_format,
        seq_length=form.seq_length,
        bins=(form.seq_length,),
        pairs="none",
        short_seq_prob=0.0,
        pack=False,
        dupe_factor=1,
        mask=MASK,
        mask_epochs=0,
        tokenizer=tokenizer,
        features={form.seq_length: encoder.features},
        inputs=(),
        shards=tuple(shards),
        counts={},
    )
    (folder / "MANIFEST.json").write_text(manifest.to_json(), encoding="utf-8")
    return folder
