# SPDX-License-Identifier: Apache-2.0
"""The public functions: check, lower, dispatch, wrap.

Owns signatures and documentation. Holds no algorithm and no backend names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskcore import _backends, _checks
from maskcore._call import Array, MaskCall
from maskcore._params import MAX_NGRAM, lower_span_params, ratio_number, weights_tuple

__all__ = ["MaskedIndices", "mask_indices", "mask_positions", "mask_spans"]


_MAX_N = _checks.IntegerRange(
    "max_n",
    1,
    MAX_NGRAM + 1,
    f"in [1, {MAX_NGRAM}]",
    "it is the longest n-gram in units, 3 in ALBERT",
)


class MaskedIndices(NamedTuple):
    """Masked positions of fixed size, for gather-style heads."""

    positions: NDArray[np.int32]
    """Shape (P,) or (B, P): ascending positions, then padding with 0."""
    weights: NDArray[np.float32]
    """The same shape: 1.0 for a masked position, 0.0 for padding."""


def span_call(
    shape: tuple[int, ...],
    maskable: Array | None,
    num_tokens_to_mask: Any,
    *,
    rows: str = "maskable_positions",
    max_n: Any,
    ngram_weights: Sequence[Any] | None,
    word_ids: Any,
    segment_ids: Any,
    seed: Any,
    epoch: Any,
    row_ids: Any,
    masking_ratio: Any,
    max_predictions: Any,
    num_threads: Any,
) -> MaskCall:
    """Check and lower everything that decides which positions are masked; `rows` names the argument of `shape`."""
    # What is not given is not looked at: a single row pays for every call.
    cap = None if max_predictions is None else _checks.predictions_or_none(max_predictions)
    budget, budgets = _checks.budget_scalar_or_rows(num_tokens_to_mask, masking_ratio, cap, shape)
    words = segments = None
    if word_ids is not None:
        words = _checks.as_batch(_checks.token_ids_array("word_ids", word_ids, shape, rows))
    if segment_ids is not None:
        segments = _checks.as_batch(
            _checks.token_ids_array("segment_ids", segment_ids, shape, rows)
        )
    if type(max_n) is not int:  # the range of an int is checked where it is lowered
        max_n = _checks.integer(_MAX_N, max_n)
    weights = None if ngram_weights is None else weights_tuple(ngram_weights)
    ratio = None if masking_ratio is None else ratio_number(masking_ratio)
    params = lower_span_params(max_n, weights, ratio, cap)
    first_row_id, ids = 0, None
    if row_ids is not None:
        first_row_id, ids = _checks.row_id_scalar_or_rows(row_ids, shape)
    epoch, epochs = _checks.epoch_scalar_or_rows(epoch, shape)
    return MaskCall(
        params,
        _checks.integer(_checks.SEED, seed) if type(seed) is int else _checks.seed_or_entropy(seed),
        1 if len(shape) == 1 else shape[0],
        shape[-1],
        maskable,
        budget,
        epoch,
        words,
        segments,
        budgets,
        ids,
        epochs,
        1 if num_threads is None else _checks.threads(num_threads),
        first_row_id,
    )


def num_predictions(call: MaskCall, max_predictions: int | None) -> int:
    """Return the fixed number of positions a row: given, or the most that any row can need."""
    if max_predictions is not None:
        return max_predictions
    largest = call.budget if call.budgets is None else int(call.budgets.max(initial=0))
    return most_predictions(call.span_params.ratio_e9, largest, call.row_length)


def most_predictions(ratio_e9: int, largest_budget: int, row_length: int) -> int:
    """Return how many positions a row of this length can need (section 7)."""
    if ratio_e9:
        return max(1, (2 * ratio_e9 * row_length + 10**9) // (2 * 10**9))
    return max(1, min(largest_budget, row_length))


def mask_positions(
    maskable_positions: ArrayLike,
    num_tokens_to_mask: ArrayLike | None = None,
    *,
    max_n: int = 3,
    ngram_weights: Sequence[Any] | None = None,
    word_ids: ArrayLike | None = None,
    segment_ids: ArrayLike | None = None,
    seed: int | None = None,
    epoch: ArrayLike = 0,
    row_ids: ArrayLike | None = None,
    masking_ratio: float | None = None,
    max_predictions: int | None = None,
    num_threads: int | None = None,
    out: Array | None = None,
) -> Array:
    """Choose which tokens of each row a masked model must predict.

    Parameters
    ----------
    maskable_positions : bool, integer, float32 or float64 array, shape (L,) or (B, L)
        Nonzero where a token may be masked; zero for special tokens and padding. L at most 2**26.
    num_tokens_to_mask : int, or int array of shape (B,)
        How many tokens to mask in a row, at least 0; more than may be masked masks all. Either this or `masking_ratio`.
    max_n : int
        Longest n-gram in units (tokens, or words where `word_ids` are given), in [1, 255].
    ngram_weights : sequence of `max_n` numbers, optional
        Relative frequency of the lengths 1 .. `max_n`; by default 1, 1/2, ..., 1/max_n [1]_.
    word_ids : int array, the shape of `maskable_positions`, optional
        Adjacent tokens with one id >= 0 are a word, masked as a whole or not at all; -1 for tokens without a word. A word
        that holds a token that may not be masked, or a segment boundary, is never masked.
    segment_ids : int array, the shape of `maskable_positions`, optional
        No span crosses a change of this value.
    seed : int in [0, 2**63), optional
        None takes fresh entropy at each call.
    epoch : int in [0, 2**31), or int array of shape (B,)
        The number of the pass over the data.
    row_ids : int array of shape (B,), an int for a single row, in [0, 2**63), optional
        The identity of each row; by default 0 .. B - 1.
    masking_ratio : float in (0, 1], optional
        Mask this share of the row's maskable tokens (with `word_ids`: of the tokens of words that may be masked), rounded half up in
        decimal, and at least 1 where anything may be masked.
    max_predictions : int, optional
        Cap for `masking_ratio`; a `num_tokens_to_mask` above it is an error.
    num_threads : int, optional
        Threads that share the rows; None is 1. No thread outlives the call.
    out : array, optional
        Where to write: the shape and dtype of `maskable_positions`, C-contiguous. May be `maskable_positions` itself.

    Returns
    -------
    array, the shape and dtype of `maskable_positions`
        1 where masked, 0 elsewhere. Without words exactly ``min(num_tokens_to_mask, maskable)`` ones a row. With words
        at most that, and none at all in a row of which no word that is tried fits the budget.

    Raises
    ------
    TypeError
        For an array or number of another kind than stated.
    ValueError
        For a value out of its range, or arrays whose shapes do not agree.

    Notes
    -----
    **Reproducibility.** With a seed this is a pure function: the mask of a row depends on the row, the parameters, `seed`, `epoch` and
    the row's id, and on nothing else: not on the batch, the number of threads, the backend or the machine. *A loop over batches must
    pass* `row_ids`: without them every batch numbers its rows from 0 and repeats the masks of the first where the rows are alike.

    References
    ----------
    .. [1] Lan et al., "ALBERT: A Lite BERT for Self-supervised Learning of Language Representations", ICLR 2020, section 3.1.

    Examples
    --------
    >>> import numpy as np, maskcore
    >>> maskable = np.array([[0, 1, 1, 1, 1, 1, 1, 0, 0, 0]], dtype=np.uint8)
    >>> mask = maskcore.mask_positions(maskable, 3, seed=7, row_ids=[42])
    >>> int(mask.sum()), bool((mask <= maskable).all())
    (3, True)
    """
    maskable = _checks.maskable_array(maskable_positions)
    shape = maskable.shape
    call = span_call(
        shape,
        maskable,
        num_tokens_to_mask,
        max_n=max_n,
        ngram_weights=ngram_weights,
        word_ids=word_ids,
        segment_ids=segment_ids,
        seed=seed,
        epoch=epoch,
        row_ids=row_ids,
        masking_ratio=masking_ratio,
        max_predictions=max_predictions,
        num_threads=num_threads,
    )
    if out is None:
        mask = np.empty(shape, maskable.dtype)
    else:
        mask = _checks.out_array(out, "out", maskable, maskable.dtype)
        keep_inputs_from(mask, call, in_place="maskable")
    call.mask = mask
    _backends.mask_rows(call)
    return mask


_INPUTS = ("maskable", "word_ids", "segment_ids", "input_ids", "budgets", "row_ids", "epochs")


def keep_inputs_from(out: Array, call: MaskCall, in_place: str) -> None:
    """Copy the inputs that writing to `out` would change before they are read.

    The one named `in_place` may be `out` itself, since a row is read before it is written.
    """
    for name in _INPUTS:
        given = getattr(call, name)
        if given is None or not np.may_share_memory(given, out):
            continue
        if name != in_place or given.ctypes.data != out.ctypes.data:
            setattr(call, name, given.copy())


def mask_indices(
    maskable_positions: ArrayLike,
    num_tokens_to_mask: ArrayLike | None = None,
    *,
    max_predictions: int | None = None,
    max_n: int = 3,
    ngram_weights: Sequence[Any] | None = None,
    word_ids: ArrayLike | None = None,
    segment_ids: ArrayLike | None = None,
    seed: int | None = None,
    epoch: ArrayLike = 0,
    row_ids: ArrayLike | None = None,
    masking_ratio: float | None = None,
    num_threads: int | None = None,
) -> MaskedIndices:
    """Return the choice of `mask_positions` as positions of fixed size.

    Parameters
    ----------
    max_predictions : int, optional
        P, the number of positions a row; by default the most that a row of this length can need.
    maskable_positions, num_tokens_to_mask, max_n, ngram_weights, word_ids, segment_ids, seed, epoch
        As in `mask_positions`.
    row_ids, masking_ratio, num_threads
        As in `mask_positions`.

    Returns
    -------
    MaskedIndices
        positions : int32 array, shape (P,) or (B, P), ascending, padded with 0;
        weights : float32 array of the same shape, 1.0 and 0.0 for the padding.

    Raises
    ------
    TypeError, ValueError
        As `mask_positions`; also where `num_tokens_to_mask` is above `max_predictions`.

    Notes
    -----
    **Reproducibility.** As `mask_positions`: the same arguments choose the same tokens.

    Examples
    --------
    >>> import maskcore
    >>> maskcore.mask_indices([0, 1, 0, 1], 2, max_predictions=3, seed=0)
    MaskedIndices(positions=array([1, 3, 0], dtype=int32), weights=array([1., 1., 0.], dtype=float32))
    """
    maskable = _checks.maskable_array(maskable_positions)
    shape = maskable.shape
    call = span_call(
        shape,
        maskable,
        num_tokens_to_mask,
        max_n=max_n,
        ngram_weights=ngram_weights,
        word_ids=word_ids,
        segment_ids=segment_ids,
        seed=seed,
        epoch=epoch,
        row_ids=row_ids,
        masking_ratio=masking_ratio,
        max_predictions=max_predictions,
        num_threads=num_threads,
    )
    size = num_predictions(call, max_predictions)
    call.positions = np.empty((call.num_rows, size), np.int32)
    call.weights = np.empty((call.num_rows, size), np.float32)
    _backends.mask_rows(call)
    fixed = (*shape[:-1], size)
    return MaskedIndices(call.positions.reshape(fixed), call.weights.reshape(fixed))


def mask_spans(
    maskable_positions: ArrayLike,
    num_tokens_to_mask: ArrayLike | None = None,
    *,
    max_n: int = 3,
    ngram_weights: Sequence[Any] | None = None,
    word_ids: ArrayLike | None = None,
    segment_ids: ArrayLike | None = None,
    seed: int | None = None,
    epoch: ArrayLike = 0,
    row_ids: ArrayLike | None = None,
    masking_ratio: float | None = None,
    max_predictions: int | None = None,
    num_threads: int | None = None,
) -> NDArray[np.int32]:
    """Return the choice of `mask_positions` as span numbers, since neighbours merge in a mask of 0 and 1.

    Parameters
    ----------
    maskable_positions, num_tokens_to_mask, max_n, ngram_weights, word_ids, segment_ids, seed, epoch
        As in `mask_positions`.
    row_ids, masking_ratio, max_predictions, num_threads
        As in `mask_positions`.

    Returns
    -------
    int32 array, the shape of `maskable_positions`
        0 where not masked; the masked spans are numbered 1, 2, ... from left to right in each row.

    Raises
    ------
    TypeError, ValueError
        As `mask_positions`.

    Notes
    -----
    **Reproducibility.** As `mask_positions`: the same arguments choose the same tokens.

    Examples
    --------
    >>> import maskcore
    >>> maskcore.mask_spans([1, 1, 0, 1], 3, max_n=2, ngram_weights=[0, 1], seed=3)
    array([1, 1, 0, 2], dtype=int32)
    """
    maskable = _checks.maskable_array(maskable_positions)
    shape = maskable.shape
    call = span_call(
        shape,
        maskable,
        num_tokens_to_mask,
        max_n=max_n,
        ngram_weights=ngram_weights,
        word_ids=word_ids,
        segment_ids=segment_ids,
        seed=seed,
        epoch=epoch,
        row_ids=row_ids,
        masking_ratio=masking_ratio,
        max_predictions=max_predictions,
        num_threads=num_threads,
    )
    call.span_numbers = np.empty((call.num_rows, call.row_length), np.int32)
    _backends.mask_rows(call)
    return call.span_numbers.reshape(shape)
