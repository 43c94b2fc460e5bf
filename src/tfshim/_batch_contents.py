# SPDX-License-Identifier: Apache-2.0
"""What a batch holds: from records and their epochs to masked ids with their labels.

Owns the names and the form of what `masked_dataset` gives. Parsing is that of records.py, masking that of
tokens.py; knows nothing of files or of the order of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from maskcore.config import MaskConfig
from maskcore.records.encoding.schema import (
    MASKED_LM_COUNTS,
    MASKED_LM_IDS,
    MASKED_LM_POSITIONS,
    MASKED_LM_WEIGHTS,
    NEXT_SENTENCE_LABELS,
    SEGMENT_IDS,
    predictions_of,
)
from maskcore.records.manifest import Manifest
from maskcore.records.reader import encoder_of
from maskcore.tokens import allowed_ids
from tfshim._tensorflow import Tensor, tensorflow
from tfshim.records import parse_columns
from tfshim.tokens import mask_stored_tokens

__all__ = ["BatchContents"]

Batch = dict[str, Tensor]

_READ_BY_MASKS = ("input_ids", "word_ids")


@dataclass(frozen=True, slots=True)
class BatchContents:
    """What a batch holds."""

    manifest: Manifest
    mask: MaskConfig
    output: str
    replacement: tuple[float, ...]
    ignore_index: int
    as_supervised: bool
    with_row_ids: bool
    implementation: str | None

    def of_bin(self, length: int) -> Callable[[Tensor, Tensor], Any]:
        """Return the function from records of a bin and their epochs to a batch."""
        tf = tensorflow()
        encoder_of(self.manifest, length)  # raises for features that this maskcore does not read
        is_static = self.manifest.schema == "bert"
        # Stored masks are left alone: they are those that are derived.
        left_out = () if is_static else (MASKED_LM_COUNTS, MASKED_LM_POSITIONS)
        features = {
            name: entry
            for name, entry in self.manifest.features[length].items()
            if name not in left_out
        }
        masked = self._masked(length)

        def batch_of(records: Tensor, epochs: Tensor) -> Any:
            columns = parse_columns(records, features, () if is_static else _READ_BY_MASKS)
            batch = columns if is_static else masked(columns, epochs)
            return self._supervised(batch) if self.as_supervised else batch

        return tf.autograph.experimental.do_not_convert(batch_of)  # type: ignore[no-any-return]

    def _masked(self, length: int) -> Callable[[Batch, Tensor], Batch]:
        """Return the function that masks parsed rows."""
        tf = tensorflow()
        manifest, mask = self.manifest, self.mask
        num_special = 2 if manifest.pairs == "none" else 3
        limit = predictions_of(mask, length, manifest.seq_length, num_special)
        special = {token.id for token in manifest.tokenizer.special_tokens.values()}
        random_ids = allowed_ids(manifest.tokenizer.vocab_size, sorted(special))
        choice = replace(mask, max_predictions=limit).arguments()
        arguments: dict[str, Any] = {
            "by_words": mask.mask_unit == "word",
            "mask_id": manifest.tokenizer.special_tokens["mask"].id,
            "random_ids": random_ids,
            "replacement": self.replacement,
            "ignore_index": self.ignore_index,
            "output": self.output,
            "implementation": self.implementation,
        }

        def masked(columns: Batch, epochs: Tensor) -> Batch:
            row_ids = tf.squeeze(columns["row_id"], axis=1)
            addresses = {"row_ids": row_ids, "epoch": epochs}
            made = mask_stored_tokens(
                columns["input_ids"], columns["word_ids"], choice | addresses, **arguments
            )
            kept = ("attention_mask", "token_type_ids", SEGMENT_IDS, NEXT_SENTENCE_LABELS)
            batch = {name: columns[name] for name in kept if name in columns} | made._asdict()
            if self.with_row_ids:
                batch |= {"row_id": row_ids, "epoch": tf.cast(epochs, tf.int32)}
            return batch

        return masked

    def _supervised(self, batch: Batch) -> tuple[Any, Any, Any]:
        """Return inputs, targets and weights."""
        tf = tensorflow()
        inputs, targets, weights = dict(batch), {}, {}
        if self.output == "labels":
            labels = inputs.pop("labels")
            is_masked = labels != self.ignore_index
            targets["labels"] = tf.where(is_masked, labels, tf.zeros_like(labels))
            weights["labels"] = tf.cast(is_masked, tf.float32)
        else:
            targets[MASKED_LM_IDS] = inputs.pop(MASKED_LM_IDS)
            weights[MASKED_LM_IDS] = inputs.pop(MASKED_LM_WEIGHTS)
        if self.manifest.pairs != "none":
            targets[NEXT_SENTENCE_LABELS] = inputs.pop(NEXT_SENTENCE_LABELS)
            ones = tf.ones_like(targets[NEXT_SENTENCE_LABELS], tf.float32)
            weights[NEXT_SENTENCE_LABELS] = ones
            return inputs, targets, weights
        inputs.pop(NEXT_SENTENCE_LABELS, None)  # of schema "bert", 0 where rows are no pairs
        return inputs, *targets.values(), *weights.values()
