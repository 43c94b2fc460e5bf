# SPDX-License-Identifier: Apache-2.0
"""The public function: check, dispatch. Holds no algorithm and no names of implementations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maskcore import _checks
from maskcore._params import lower_span_params, weights_tuple
from maskcore.errors import value_error
from tfshim import _arguments, _implementations
from tfshim._call import AddressedCall, ClassicCall
from tfshim._tensorflow import Tensor

__all__ = ["get_masking_position"]


def get_masking_position(  # options of one operation, by keyword
    maskable_positions: Any,
    *,
    max_n: Any,
    num_tokens_to_mask: Any = None,
    seed: Any = 23,
    row_ids: Any = None,
    epoch: Any = 0,
    word_ids: Any = None,
    segment_ids: Any = None,
    ngram_weights: Sequence[Any] | None = None,
    masking_ratio: float | None = None,
    max_predictions: int | None = None,
    implementation: str | None = None,
) -> Tensor:
    """Choose which tokens of each row a masked model must predict.

    With `row_ids` it is a pure function, with the bits of `maskcore.mask_positions`: the one for
    `tf.data`. Without, it is the classic op: every run masks anew.

    Parameters
    ----------
    maskable_positions : bool, integer, float32 or float64 tensor, shape (L,) or (B, L)
        Nonzero where a token may be masked; zero for special tokens and padding. L at most 2**26.
    max_n : int
        Longest n-gram in units (tokens, or words where `word_ids` are given), in [1, 255]. Without
        `row_ids` it may be a tensor.
    num_tokens_to_mask : int, or integer tensor of shape () or (B,)
        How many tokens to mask in a row, at least 0; more than may be masked masks all. Either this
        or `masking_ratio`.
    seed : int in [0, 2**63)
        With `row_ids` it may be a scalar tensor, also as halves of shape (2,).
    row_ids : integer tensor of shape (B,), or () for a single row, in [0, 2**63), optional
        The identity of each row, as stored with it. For a device without 64-bit integers it may come
        in halves, low and high: ``tf.bitcast(row_ids, tf.uint32)``, of shape (B, 2).
    epoch : int in [0, 2**31), or integer tensor of shape () or (B,)
        The number of the pass over the data. Needs `row_ids`.
    word_ids : integer tensor, the shape of `maskable_positions`, optional
        Adjacent tokens with one id >= 0 are a word, masked as a whole or not at all; -1 for tokens
        without a word. A word that holds a token that may not be masked, or a segment boundary, is
        never masked. Needs `row_ids`.
    segment_ids : integer tensor, the shape of `maskable_positions`, optional
        No span crosses a change of this value. Needs `row_ids`.
    ngram_weights : sequence of `max_n` numbers, optional
        Relative frequency of the lengths 1 .. `max_n`; by default 1, 1/2, ..., 1/max_n. Needs
        `row_ids`.
    masking_ratio : float in (0, 1], optional
        Mask this share of the row's maskable tokens (with `word_ids`: of the tokens of words that
        may be masked), rounded half up in decimal, and at least 1 where anything may be masked.
        Needs `row_ids`.
    max_predictions : int, optional
        Cap for `masking_ratio`; a `num_tokens_to_mask` above it is an error. Needs `row_ids`.
    implementation : str, optional
        One of the names of `available_implementations`; by default the first that can run, or what
        the environment variable ``MASKCORE_TF_IMPLEMENTATION`` names. The bits of a call with
        `row_ids` do not depend on it.

    Returns
    -------
    tensor, the shape and dtype of `maskable_positions`
        1 where masked, 0 elsewhere. Without words exactly ``min(num_tokens_to_mask, maskable)``
        ones a row; with words at most that. It has no gradient.

    Raises
    ------
    TypeError
        For a tensor or number of another kind than stated.
    ValueError
        For a value out of its range or shapes that do not agree, as far as they are known before
        the graph runs.
    tf.errors.InvalidArgumentError
        With the same text, for what is known only then.
    BackendUnavailableError
        If `implementation` or the environment asks for one that cannot run; the text says why.
    ImportError
        If there is no TensorFlow.

    Notes
    -----
    **Reproducibility.** With `row_ids` the mask of a row depends on the row, the parameters,
    `seed`, `epoch` and the row's id, and on nothing else: not on the batch, the iterator, parallel
    calls or the machine. Without, a counter of the process numbers the rows as they come, so that
    no epoch, iterator or second call repeats another; it begins anew in each process, and parallel
    calls race for it.

    Examples
    --------
    >>> import tensorflow as tf, tfshim
    >>> rows = tf.constant([[0, 1, 1, 1, 1, 1, 1, 0, 0, 0]])
    >>> mask = tfshim.get_masking_position(
    ...     rows, max_n=3, num_tokens_to_mask=3, seed=7, row_ids=[42]
    ... )
    >>> int(tf.reduce_sum(mask)), bool(tf.reduce_all(mask <= rows))
    (3, True)
    """
    maskable = _arguments.maskable_tensor(maskable_positions)
    rows = _arguments.static_shape(maskable)
    if row_ids is not None:
        mask_rows = _implementations.choose("mask_rows", implementation, rows)
        call = addressed_call(
            maskable,
            rows,
            num_tokens_to_mask=num_tokens_to_mask,
            max_n=max_n,
            ngram_weights=ngram_weights,
            word_ids=word_ids,
            segment_ids=segment_ids,
            seed=seed,
            epoch=epoch,
            row_ids=row_ids,
            masking_ratio=masking_ratio,
            max_predictions=max_predictions,
        )
        return mask_rows(call)
    mask_rows_anew = _implementations.choose("mask_rows_anew", implementation, rows)
    _refuse_without_row_ids(
        epoch=None if isinstance(epoch, int) and epoch == 0 else epoch,
        word_ids=word_ids,
        segment_ids=segment_ids,
        ngram_weights=ngram_weights,
        masking_ratio=masking_ratio,
        max_predictions=max_predictions,
    )
    return mask_rows_anew(
        ClassicCall(
            maskable=maskable,
            budget=_arguments.budget_tensor(num_tokens_to_mask, None, None, rows),
            max_n=_arguments.max_n_tensor(max_n),
            seed=_arguments.seed_integer(seed),
        )
    )


# AutoGraph takes the function as it is: it holds no control flow on tensors. The mark is what
# `tf.autograph.experimental.do_not_convert` sets, which cannot be called before TensorFlow is
# imported.
get_masking_position.__dict__["autograph_info__"] = {}


def addressed_call(
    maskable: Tensor | None,
    rows: _arguments.StaticShape,
    *,
    rows_are: str = "maskable_positions",
    num_tokens_to_mask: Any,
    max_n: Any,
    ngram_weights: Sequence[Any] | None,
    word_ids: Any,
    segment_ids: Any,
    seed: Any,
    epoch: Any,
    row_ids: Any,
    masking_ratio: Any,
    max_predictions: Any,
) -> AddressedCall:
    """Check everything that decides which positions are masked; `rows_are` names the argument of shape `rows`."""
    cap = _checks.predictions_or_none(max_predictions)
    budget = _arguments.budget_tensor(num_tokens_to_mask, masking_ratio, cap, rows)
    words = _arguments.token_ids_tensor("word_ids", word_ids, rows, rows_are)
    segments = _arguments.token_ids_tensor("segment_ids", segment_ids, rows, rows_are)
    longest = _arguments.max_n_integer(max_n)
    weights = None if ngram_weights is None else weights_tuple(ngram_weights)
    ratio = _arguments.ratio_or_none(masking_ratio)
    lower_span_params(longest, weights, ratio, cap)  # raises now what would be wrong in the graph
    return AddressedCall(
        maskable=maskable,
        budget=budget,
        max_n=longest,
        ngram_weights=weights,
        word_ids=words,
        segment_ids=segments,
        epoch=_arguments.epoch_tensor(epoch, rows),
        seed=_arguments.seed_tensor(seed),
        row_ids=_arguments.row_ids_tensor(row_ids, rows),
        masking_ratio=ratio,
        max_predictions=cap,
    )


def _refuse_without_row_ids(**arguments: Any) -> None:
    for name, value in arguments.items():
        if value is not None:
            raise value_error(
                name,
                "left out where there are no row_ids",
                "a value",
                "pass row_ids, and the mask is a function of seed, epoch and row id",
            )
