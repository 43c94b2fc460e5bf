# SPDX-License-Identifier: Apache-2.0
"""Choice and replacement in one pass: masked ids with their labels.

Owns what is written at masked positions: the table of random ids, special ids, labels. The choice itself is that of masking.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskcore import _backends, _checks
from maskcore._call import Array, Int32Array, Int64Array, MaskCall, TokenParams
from maskcore._params import REPLACEMENT_BITS, thresholds
from maskcore.errors import type_error, value_error
from maskcore.masking import keep_inputs_from, num_predictions, span_call

__all__ = ["MaskedTokens", "PredictionTokens", "allowed_ids", "mask_tokens"]

_INT32 = np.iinfo(np.int32)
_VOCAB_SIZE = _checks.IntegerRange(
    "vocab_size", 1, 2**31, "in [1, 2**31)", "pass the number of ids"
)
_MASK_ID = _checks.IntegerRange(
    "mask_id", 0, 2**31, "in [0, 2**31)", "pass an id of the vocabulary"
)
_IGNORE_INDEX = _checks.IntegerRange(
    "ignore_index", -(2**31), 2**31, "in [-2**31, 2**31)", "use -100, as PyTorch does"
)
_SUM_TOLERANCE = 1e-6
_OUTPUTS = ("labels", "positions")


class MaskedTokens(NamedTuple):
    """Masked ids and labels of the same shape."""

    input_ids: Array
    """Shape (L,) or (B, L), the dtype of the ids given."""
    labels: Array
    """The same shape: the original id where masked, `ignore_index` elsewhere."""


class PredictionTokens(NamedTuple):
    """Masked ids, and what to predict in arrays of fixed size."""

    input_ids: Array
    """Shape (L,) or (B, L), the dtype of the ids given."""
    masked_lm_positions: Int32Array
    """Shape (P,) or (B, P): ascending positions, then padding with 0."""
    masked_lm_ids: Array
    """Shape (P,) or (B, P): the original ids there, 0 for the padding."""
    masked_lm_weights: NDArray[np.float32]
    """Shape (P,) or (B, P): 1.0, and 0.0 for the padding."""


def allowed_ids(vocab_size: int, special_ids: Iterable[int]) -> Int32Array:
    """Return all ids below `vocab_size` but the special ones: a table for `random_ids`.

    Parameters
    ----------
    vocab_size : int
        Number of ids, in [1, 2**31).
    special_ids : iterable of int
        Ids that must not be drawn.

    Returns
    -------
    int32 array, ascending, read-only
        What cannot change is checked once, and not again at each call of `mask_tokens`.

    Raises
    ------
    ValueError
        If nothing is left, or `vocab_size` is out of range.

    Examples
    --------
    >>> from maskcore import allowed_ids
    >>> allowed_ids(8, special_ids=[0, 1, 5])
    array([2, 3, 4, 6, 7], dtype=int32)
    """
    size = _checks.integer(_VOCAB_SIZE, vocab_size)
    ids = np.setdiff1d(np.arange(size, dtype=np.int32), _special_table(special_ids))
    if ids.size == 0:
        raise value_error(
            "special_ids", "fewer than all ids", f"all {size}", "leave some ids to draw from"
        )
    return np.frombuffer(ids.astype(np.int32).tobytes(), np.int32)


def _ids_from_ranges(ranges: Sequence[Any]) -> Int64Array:
    pieces = []
    for piece in ranges:
        if not isinstance(piece, range) and len(piece) != 2:
            raise TypeError  # range(*piece) would take 1 or 3 numbers, too
        given = piece if isinstance(piece, range) else range(*piece)
        if given:  # before it takes any memory
            _check_table_bounds(min(given[0], given[-1]), max(given[0], given[-1]))
        pieces.append(np.arange(given.start, given.stop, given.step, dtype=np.int64))
    return np.concatenate(pieces) if pieces else np.empty(0, np.int64)


def _check_table_bounds(smallest: int, largest: int) -> None:
    if smallest < 0 or largest > _INT32.max:
        bad = smallest if smallest < 0 else largest
        raise value_error("random_ids", "in [0, 2**31)", bad, "pass ids of the vocabulary")


def _random_table(random_ids: Any) -> Int32Array:
    """Return the allowed ids as one int32 table; ranges are laid end to end."""
    if random_ids is None:
        return np.empty(0, np.int32)
    if isinstance(random_ids, range):
        random_ids = [random_ids]
    is_ranges = isinstance(random_ids, (list, tuple)) and any(
        isinstance(r, range) or np.ndim(r) for r in random_ids
    )
    try:
        table = _ids_from_ranges(random_ids) if is_ranges else np.asarray(random_ids)
    except TypeError:
        table = np.empty((0, 0))
    if table.ndim != 1 or (table.size and table.dtype.kind not in "iu"):
        raise type_error(
            "random_ids",
            "a table of ids, or (start, stop) ranges",
            repr(random_ids)[:80],
            "pass for example maskcore.allowed_ids(vocab_size, special_ids)",
        )
    if table.size:
        _check_table_bounds(int(table.min()), int(table.max()))
    return _checks.plain_array(table, np.int32)


def _special_table(special_ids: Any) -> Int64Array:
    """Return the special ids, in any order, as int64."""
    is_lazy = isinstance(special_ids, Iterable) and not isinstance(special_ids, np.ndarray)
    ids = np.asarray(list(special_ids) if is_lazy else special_ids)
    if ids.size and ids.dtype.kind not in "iu":
        raise type_error(
            "special_ids", "integers", f"dtype {ids.dtype}", "pass ids such as [0, 101, 102]"
        )
    if ids.dtype == np.uint64 and ids.size and int(ids.max()) >= 2**63:
        raise value_error(
            "special_ids", "in [-2**63, 2**63)", int(ids.max()), "pass ids of the vocabulary"
        )
    return ids.reshape(-1).astype(np.int64)


def _special_ranges(special_ids: Any) -> Int64Array:
    """Return the special ids as sorted, disjoint, inclusive ranges, shape (k, 2)."""
    if isinstance(special_ids, Iterator):  # the next call would find it used up, and mask padding
        raise type_error(
            "special_ids", "a sequence of ids", "an iterator", "pass ids such as [0, 101, 102]"
        )
    ids = np.unique(_special_table([] if special_ids is None else special_ids))
    first = np.flatnonzero(np.diff(ids, prepend=ids[:1] - 2) != 1)
    last = np.append(first[1:], ids.size)[: first.size] - 1
    return np.ascontiguousarray(np.stack([ids[first], ids[last]], axis=1))


def _replacement_thresholds(replacement: Sequence[Any]) -> tuple[int, int]:
    described, remedy = "three shares (mask, random, keep)", "as (0.8, 0.1, 0.1)"
    if not isinstance(replacement, Iterable):
        raise type_error("replacement", described, repr(replacement), remedy)
    shares = tuple(replacement)
    if len(shares) != 3:
        raise value_error("replacement", described, f"{len(shares)} values", remedy)
    first, second = thresholds("replacement", shares, REPLACEMENT_BITS)
    if abs(sum(map(float, shares)) - 1) > _SUM_TOLERANCE:
        raise value_error(
            "replacement", "shares with sum 1", sum(map(float, shares)), "as (0.8, 0.1, 0.1)"
        )
    return first, second


def _token_params(
    replacement: Sequence[Any], mask_id: int, random_ids: Any, special_ids: Any, ignore_index: int
) -> TokenParams:
    first, second = _replacement_thresholds(replacement)
    table = _random_table(random_ids)
    special = _special_ranges(special_ids)
    if first < second and table.size == 0:
        raise value_error(
            "random_ids",
            "given where replacement has a random share",
            "none",
            "pass maskcore.allowed_ids(vocab_size, special_ids), or replacement=(1, 0, 0)",
        )
    if table.size and special.size:
        at = np.searchsorted(special[:, 0], table, side="right") - 1
        is_special = (at >= 0) & (table <= special[at, 1])
        if is_special.any():
            raise value_error(
                "random_ids",
                "free of special_ids",
                int(table[np.argmax(is_special)]),
                "pass maskcore.allowed_ids(vocab_size, special_ids)",
            )
    largest_id = max(mask_id, int(table.max(initial=0)))
    return TokenParams((first, second), mask_id, table, special, ignore_index, largest_id)


class _FrozenTable:
    """An array that rests on bytes as a key: equal only to itself, and kept alive by what remembers it."""

    __slots__ = ("array",)

    def __init__(self, array: Array) -> None:
        self.array = array

    def __hash__(self) -> int:
        return id(self.array)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _FrozenTable) and self.array is other.array


def _hashable(value: Any) -> Any:
    """Return what stands for `value` as a key, so that its lowering can be remembered."""
    if isinstance(value, (list, tuple)):
        return tuple(map(_hashable, value))
    if isinstance(value, np.ndarray) and isinstance(value.base, bytes):
        return _FrozenTable(value)  # nobody can make it writeable, as allowed_ids gives it
    if value is None or type(value) in (int, range):
        return value
    # True and 1.0 equal 1, whose lowering they would find instead of an error; a tensor is equal to
    # itself after a change, too.
    raise TypeError


@lru_cache(maxsize=64)
def _cached_token_params(
    replacement: tuple[Any, ...], mask_id: int, random_ids: Any, special_ids: Any, ignore_index: int
) -> TokenParams:
    table = random_ids.array if isinstance(random_ids, _FrozenTable) else random_ids
    special = special_ids.array if isinstance(special_ids, _FrozenTable) else special_ids
    return _token_params(replacement, mask_id, table, special, ignore_index)


def lower_token_params(
    replacement: Any, mask_id: Any, random_ids: Any, special_ids: Any, ignore_index: Any
) -> TokenParams:
    """Return the integers that decide what is written at masked positions."""
    mask_id = _checks.integer(_MASK_ID, mask_id)
    ignore_index = _checks.integer(_IGNORE_INDEX, ignore_index)
    try:
        shares, table, special = tuple(replacement), _hashable(random_ids), _hashable(special_ids)
        return _cached_token_params(shares, mask_id, table, special, ignore_index)
    except TypeError:  # not hashable, or a wrong type: the plain function says which
        return _token_params(replacement, mask_id, random_ids, special_ids, ignore_index)


def check_ids_fit(params: TokenParams, dtype: np.dtype[Any]) -> None:
    """Raise unless `dtype` holds every id that may be written."""
    info = np.iinfo(dtype)
    if params.largest_id > info.max:
        raise value_error(
            "mask_id and random_ids",
            f"ids that fit the {dtype} of input_ids",
            params.largest_id,
            "use a wider dtype for input_ids",
        )


def labels_dtype(ignore_index: int, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of labels for ids of `dtype` (section 7)."""
    info = np.iinfo(dtype)
    return dtype if info.min <= ignore_index <= info.max else np.dtype(np.int32)


def neither_maskable_nor_special() -> ValueError:
    """Return the error of a call that says nothing of what may be masked."""
    return value_error(
        "maskable_positions or special_ids",
        "given",
        "neither",
        "say which tokens must never be masked, padding among them",
    )


def check_output(output: Any) -> None:
    """Raise unless `output` names a kind of result."""
    if output not in _OUTPUTS:
        raise value_error("output", f"one of {', '.join(_OUTPUTS)}", repr(output), "spell it so")


def mask_tokens(
    input_ids: ArrayLike,
    maskable_positions: ArrayLike | None = None,
    num_tokens_to_mask: ArrayLike | None = None,
    *,
    mask_id: int,
    random_ids: Any = None,
    replacement: Sequence[float] = (0.8, 0.1, 0.1),
    special_ids: Any = None,
    ignore_index: int = -100,
    output: str = "labels",
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
) -> MaskedTokens | PredictionTokens:
    """Choose positions as `mask_positions` does, and replace the ids there.

    Parameters
    ----------
    input_ids : int16, int32 or int64 array, shape (L,) or (B, L)
        Token ids.
    maskable_positions : bool, integer, float32 or float64 array, the shape of `input_ids`, optional
        Nonzero where a token may be masked. This or `special_ids` is required, so that padding is never masked by accident; where both are
        given, both must allow a token.
    num_tokens_to_mask, max_n, ngram_weights, word_ids, segment_ids, seed, epoch, row_ids, masking_ratio, max_predictions, num_threads
        As in `mask_positions`.
    mask_id : int
        What is written for the first share of `replacement`.
    random_ids : int array of shape (n,), range, or sequence of ranges or (start, stop) pairs, optional
        The ids to draw from for the second share, all equally likely; ids in [0, 2**31). See `allowed_ids`.
    replacement : three numbers with sum 1
        Shares of masked tokens that become `mask_id`, become a random id, and are kept [1]_.
    special_ids : sequence of int, optional
        Ids that are never masked ([CLS], [SEP], [PAD], ...); `random_ids` may not hold one.
    ignore_index : int
        Label of tokens that are not masked.
    output : "labels" or "positions"
        Labels of the shape of the ids, or positions, ids and weights of fixed size.
    out : array, optional
        Where the masked ids go: the shape and dtype of `input_ids`, C-contiguous; `input_ids` itself masks in place.

    Returns
    -------
    MaskedTokens
        For ``output="labels"``: the masked ids and the labels, in the dtype of the ids, or int32 where `ignore_index` does not fit.
    PredictionTokens
        For ``output="positions"``: the masked ids, and positions (int32), ids and weights (float32) of shape (B, P), P being
        `max_predictions` or the most that a row of this length can need.

    Raises
    ------
    TypeError, ValueError
        As `mask_positions`, and for ids that do not fit.

    Notes
    -----
    **Reproducibility.** As `mask_positions`. What becomes of a masked token is drawn at the address of its position,
    so it does not depend on which other tokens are masked.

    References
    ----------
    .. [1] Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", NAACL 2019, section 3.1.

    Examples
    --------
    >>> import numpy as np, maskcore
    >>> ids = np.array([[101, 7, 8, 9, 102, 0]], dtype=np.int32)
    >>> masked = maskcore.mask_tokens(
    ...     ids, None, 2, mask_id=103, special_ids=[0, 101, 102, 103], replacement=(1, 0, 0), seed=1
    ... )
    >>> int((masked.input_ids == 103).sum()), masked.labels.shape
    (2, (1, 6))
    """
    ids = _checks.ids_array(input_ids)
    shape = ids.shape
    maskable = None
    if maskable_positions is not None:
        maskable = _checks.maskable_array(maskable_positions)
        _checks.same_shape("maskable_positions", maskable, "input_ids", shape)
    elif special_ids is None:
        raise neither_maskable_nor_special()
    check_output(output)
    call = span_call(
        shape,
        maskable,
        num_tokens_to_mask,
        rows="input_ids",
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
    params = lower_token_params(replacement, mask_id, random_ids, special_ids, ignore_index)
    check_ids_fit(params, ids.dtype)
    call.token_params = params
    call.input_ids = ids.reshape((call.num_rows, call.row_length))
    masked_ids = (
        np.empty(shape, ids.dtype) if out is None else _checks.out_array(out, "out", ids, ids.dtype)
    )
    if out is not None:
        keep_inputs_from(masked_ids, call, in_place="input_ids")
    call.masked_ids = masked_ids.reshape((call.num_rows, call.row_length))
    if output == "positions":
        return _with_predictions(call, masked_ids, shape, max_predictions)
    dtype = labels_dtype(params.ignore_index, ids.dtype)
    call.labels = np.empty((call.num_rows, call.row_length), dtype)
    _backends.mask_rows(call)
    return MaskedTokens(masked_ids, call.labels.reshape(shape))


def _with_predictions(
    call: MaskCall, masked_ids: Array, shape: tuple[int, ...], max_predictions: int | None
) -> PredictionTokens:
    size = num_predictions(call, max_predictions)
    call.positions = np.empty((call.num_rows, size), np.int32)
    call.weights = np.empty((call.num_rows, size), np.float32)
    call.prediction_ids = np.empty((call.num_rows, size), masked_ids.dtype)
    _backends.mask_rows(call)
    fixed = (*shape[:-1], size)
    return PredictionTokens(
        masked_ids,
        call.positions.reshape(fixed),
        call.prediction_ids.reshape(fixed),
        call.weights.reshape(fixed),
    )
