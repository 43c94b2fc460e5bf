# SPDX-License-Identifier: Apache-2.0
"""Masked ids with their labels in graphs: check, dispatch.

Holds no algorithm and no names of implementations. The choice of positions is that of masking.py. Columns of records come by a door
of their own, in the dtypes in which they are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from maskcore._params import lower_span_params
from maskcore.errors import type_error
from maskcore.tokens import (
    MaskedTokens,
    PredictionTokens,
    check_ids_fit,
    check_output,
    lower_token_params,
    neither_maskable_nor_special,
)
from tfshim import _arguments, _implementations
from tfshim._call import TokensCall
from tfshim._tensorflow import Tensor, tensorflow
from tfshim.masking import addressed_call

__all__ = ["mask_tokens"]


def mask_tokens(
    input_ids: Any,
    maskable_positions: Any = None,
    num_tokens_to_mask: Any = None,
    *,
    mask_id: int,
    row_ids: Any,
    random_ids: Any = None,
    replacement: Sequence[float] = (0.8, 0.1, 0.1),
    special_ids: Any = None,
    ignore_index: int = -100,
    output: str = "labels",
    max_n: int = 3,
    ngram_weights: Sequence[Any] | None = None,
    word_ids: Any = None,
    segment_ids: Any = None,
    seed: Any = 23,
    epoch: Any = 0,
    masking_ratio: float | None = None,
    max_predictions: int | None = None,
    implementation: str | None = None,
) -> MaskedTokens | PredictionTokens:
    """Choose positions as `get_masking_position` does with `row_ids`, and replace the ids there.

    It is a pure function, with the bits of `maskcore.mask_tokens`.

    Parameters
    ----------
    input_ids : int16, int32 or int64 tensor, shape (L,) or (B, L)
        Token ids.
    maskable_positions : bool, integer, float32 or float64 tensor, the shape of `input_ids`, optional
        Nonzero where a token may be masked. This or `special_ids` is required, so that padding is
        never masked by accident; where both are given, both must allow a token.
    num_tokens_to_mask, max_n, ngram_weights, word_ids, segment_ids, seed, epoch, masking_ratio
        As in `get_masking_position`; `max_n` is no tensor here.
    max_predictions : int, optional
        As in `get_masking_position`, and the size P of ``output="positions"``.
    mask_id : int
        What is written for the first share of `replacement`.
    row_ids : integer tensor of shape (B,), or () for a single row, in [0, 2**63)
        The identity of each row, as stored with it.
    random_ids : int array of shape (n,), range, or sequence of ranges or (start, stop) pairs, optional
        The ids to draw from for the second share, all equally likely; ids in [0, 2**31). See
        `maskcore.allowed_ids`.
    replacement : three numbers with sum 1
        Shares of masked tokens that become `mask_id`, become a random id, and are kept [1]_.
    special_ids : sequence of int, optional
        Ids that are never masked ([CLS], [SEP], [PAD], ...); `random_ids` may not hold one.
    ignore_index : int
        Label of tokens that are not masked.
    output : "labels" or "positions"
        Labels of the shape of the ids, or positions, ids and weights of fixed size.
    implementation : str, optional
        As in `get_masking_position`.

    Returns
    -------
    maskcore.MaskedTokens
        For ``output="labels"``: the masked ids and the labels, in the dtype of the ids, or int32 where
        `ignore_index` does not fit.
    maskcore.PredictionTokens
        For ``output="positions"``: the masked ids, and positions (int32), ids and weights (float32) of
        shape (B, P), P being `max_predictions` or the most that a row of this length can need. It is a
        static shape where `max_predictions` is given, or the length of the rows and the budget are known.

    Raises
    ------
    TypeError, ValueError
        As `get_masking_position`, and for ids that do not fit.
    tf.errors.InvalidArgumentError
        With the text of `maskcore.mask_tokens`, for what only the running graph knows.
    BackendUnavailableError, ImportError
        As `get_masking_position`.

    Notes
    -----
    **Reproducibility.** As `get_masking_position` with `row_ids`. What becomes of a masked token is
    drawn at the address of its position, so it does not depend on which other tokens are masked.

    References
    ----------
    .. [1] Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language
       Understanding", NAACL 2019, section 3.1.

    Examples
    --------
    >>> import tensorflow as tf, tfshim
    >>> ids = tf.constant([[101, 7, 8, 9, 102, 0]])
    >>> masked = tfshim.mask_tokens(
    ...     ids, None, 2, mask_id=103, row_ids=[42], special_ids=[0, 101, 102, 103], replacement=(1, 0, 0)
    ... )
    >>> int(tf.math.count_nonzero(masked.input_ids == 103)), masked.labels.shape
    (2, TensorShape([1, 6]))
    """
    ids = _arguments.ids_tensor(input_ids)
    maskable = None
    if maskable_positions is not None:
        maskable = _arguments.maskable_tensor(maskable_positions)
    elif special_ids is None:
        raise neither_maskable_nor_special()
    choice = {
        "num_tokens_to_mask": num_tokens_to_mask,
        "max_n": max_n,
        "ngram_weights": ngram_weights,
        "word_ids": word_ids,
        "segment_ids": segment_ids,
        "seed": seed,
        "epoch": epoch,
        "row_ids": row_ids,
        "masking_ratio": masking_ratio,
        "max_predictions": max_predictions,
    }
    written = _Written(mask_id, random_ids, special_ids, replacement, ignore_index, output)
    return _mask_columns(_Columns(ids, maskable), choice, written, implementation)


# As in masking.py: AutoGraph takes the function as it is.
mask_tokens.__dict__["autograph_info__"] = {}


def mask_stored_tokens(
    input_ids: Tensor,
    words: Tensor,
    choice: dict[str, Any],
    *,
    by_words: bool,
    mask_id: int,
    random_ids: Any,
    replacement: Sequence[float],
    ignore_index: int,
    output: str,
    implementation: str | None,
) -> MaskedTokens | PredictionTokens:
    """Return what `mask_tokens` makes of columns of records, in int32, and without casts between.

    Parameters
    ----------
    input_ids : uint16, int32 or int64 tensor, shape (B, L)
        As stored.
    words : uint8, uint16, int32 or int64 tensor, shape (B, L)
        As stored: words from 1 on, and 0 where nothing may be masked.
    choice : dict
        The other arguments of `mask_tokens` that decide which positions are masked.
    by_words : bool
        Whether words are masked as a whole.
    mask_id, random_ids, replacement, ignore_index, output, implementation
        As in `mask_tokens`.

    """
    columns = _Columns(input_ids, words, tensorflow().int32, words if by_words else None)
    choice = {"num_tokens_to_mask": None, "word_ids": None, "segment_ids": None} | choice
    written = _Written(mask_id, random_ids, None, replacement, ignore_index, output)
    return _mask_columns(columns, choice, written, implementation)


class _Columns(NamedTuple):
    """What rows are made of."""

    input_ids: Tensor
    maskable: Tensor | None
    ids_dtype: Any = None
    stored_words: Tensor | None = None


class _Written(NamedTuple):
    """The arguments that decide what is written at masked positions."""

    mask_id: int
    random_ids: Any
    special_ids: Any
    replacement: Sequence[float]
    ignore_index: int
    output: str


def _mask_columns(
    columns: _Columns, choice: dict[str, Any], written: _Written, implementation: str | None
) -> MaskedTokens | PredictionTokens:
    """Check all but the columns, and dispatch."""
    ids = columns.input_ids
    rows = _arguments.shape_of_both(ids, columns.maskable)
    mask = _implementations.choose("mask_tokens", implementation, rows)
    check_output(written.output)
    if choice["row_ids"] is None:
        remedy = "pass the ids stored with the rows"
        raise type_error("row_ids", "one for each row", "None", remedy)
    call = addressed_call(columns.maskable, rows, rows_are="input_ids", **choice)
    if columns.stored_words is not None:
        call = replace(call, word_ids=columns.stored_words, first_word_id=1)
    shares = written.replacement
    shares = tuple(shares) if isinstance(shares, Iterable) else shares
    params = lower_token_params(
        shares,
        written.mask_id,
        _arguments.known("random_ids", written.random_ids),
        _arguments.known("special_ids", written.special_ids),
        written.ignore_index,
    )
    check_ids_fit(params, np.dtype((columns.ids_dtype or ids.dtype).as_numpy_dtype))
    size = None
    if written.output == "positions":
        spans = lower_span_params(
            call.max_n, call.ngram_weights, call.masking_ratio, call.max_predictions
        )
        size = _arguments.num_predictions(call.budget, spans.ratio_e9, call.max_predictions, rows)
    masked: MaskedTokens | PredictionTokens = mask(
        TokensCall(ids, call, params, shares, written.output, size, columns.ids_dtype)
    )
    if not tensorflow().executing_eagerly():
        _set_static_shapes(masked, ids.shape.merge_with(rows), size)
    return masked


def _set_static_shapes(masked: Any, rows: Any, size: int | None) -> None:
    """Tell TensorFlow what is known: its C API infers the shape of an op's first output only."""
    rest = rows if isinstance(masked, MaskedTokens) else rows[:-1].concatenate([size])
    for tensor, shape in zip(masked, (rows, *[rest] * (len(masked) - 1)), strict=True):
        tensor.set_shape(shape)
