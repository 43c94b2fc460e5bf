# SPDX-License-Identifier: Apache-2.0
"""What a row costs in the collator of Hugging Face transformers.

Independent masking only: it has no n-grams. PyTorch on one thread; on batches that are ready, and
from lists of ids. `torch_mask_tokens` makes a dozen arrays as large as its batch, so it is timed
on the whole workload and on the batch size that suits it best.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench import checks, libraries, workload
from bench.measure import measure

BEST_BATCH_SIZE = 256  # of `torch_mask_tokens` among 64, 256, 1024, 4096
BATCH_SIZE = 64  # of the collator, whose cost a row does not depend on it


def _collator(return_tensors: str) -> Any:
    libraries.load("torch")
    transformers = libraries.load("transformers")
    tokenizers = libraries.load("tokenizers")
    special = dict(
        zip(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"), workload.SPECIAL_IDS, strict=True)
    )
    pieces = {f"piece{i}": i for i in range(len(special), workload.VOCAB_SIZE)}
    model = tokenizers.models.WordLevel(special | pieces, unk_token="[UNK]")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(model),
        **{f"{name[1:-1].lower()}_token": name for name in special},
    )
    assert len(tokenizer) == workload.VOCAB_SIZE
    assert tokenizer.mask_token_id == workload.MASK_ID
    return transformers.DataCollatorForLanguageModeling(
        tokenizer,
        mlm_probability=workload.MASKING_RATIO,
        return_tensors=return_tensors,
        seed=workload.SEED,
    )


def _check(ids: NDArray[np.int64], masked: Any, labels: Any, maskable: NDArray[np.uint8]) -> None:
    is_masked = np.asarray(labels) != workload.IGNORE_INDEX
    checks.independent_mask(is_masked, maskable)
    checks.replaced_ids(ids, np.asarray(masked), is_masked)


@pytest.mark.parametrize("batch_size", [workload.NUM_ROWS, BEST_BATCH_SIZE])
def test_torch_mask_tokens(benchmark: Any, batch_size: int, maskable: NDArray[np.uint8]) -> None:
    """The masking alone, on a ready int64 batch."""
    collator = _collator("pt")
    torch = libraries.load("torch")
    collator.create_rng()  # as the collator does at its first call
    rows = maskable[:batch_size]
    ids = workload.token_ids(maskable, np.int64)[:batch_size]
    batch, is_special = torch.from_numpy(ids), torch.from_numpy(rows == 0)

    def fresh_batch() -> tuple[tuple[Any], dict[str, Any]]:
        return (batch.clone(),), {"special_tokens_mask": is_special}

    (inputs,), keywords = fresh_batch()
    masked, labels = collator.torch_mask_tokens(inputs, **keywords)
    _check(ids, masked, labels, rows)
    measure(
        benchmark,
        f"torch-mask-tokens-{batch_size}",
        collator.torch_mask_tokens,
        rows_per_call=batch_size,
        setup=fresh_batch,
    )


@pytest.mark.parametrize("return_tensors", ["pt", "np"])
def test_collator(benchmark: Any, return_tensors: str, maskable: NDArray[np.uint8]) -> None:
    """The collator as a loader calls it: lists of ids and special-token masks in, a batch out."""
    collator = _collator(return_tensors)
    rows = maskable[:BATCH_SIZE]
    ids = workload.token_ids(maskable, np.int64)[:BATCH_SIZE]
    examples = [
        {"input_ids": row_ids, "special_tokens_mask": special}
        for row_ids, special in zip(ids.tolist(), (1 - rows).tolist(), strict=True)
    ]
    batch = collator(examples)
    _check(ids, batch["input_ids"], batch["labels"], rows)
    measure(
        benchmark,
        f"collator-{return_tensors}",
        lambda: collator(examples),
        rows_per_call=BATCH_SIZE,
    )
