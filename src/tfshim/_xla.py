# SPDX-License-Identifier: Apache-2.0
"""The implementation by TensorFlow's own integer operations: no Python, no custom op, one program for each shape.

Owns conversion: what is static is taken from shapes and settings, the rest becomes tensors of 32 bits. `_xla_mask_row.py` and
`_xla_tokens.py` hold the algorithm. A compiled program cannot raise: values out of range are clamped or taken modulo their size, but
those of eager tensors are checked here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from maskcore import _checks
from maskcore._call import TokenParams
from maskcore._params import lower_span_params
from maskcore.errors import value_error
from maskcore.tokens import MaskedTokens, PredictionTokens, labels_dtype
from tfshim import _place
from tfshim._arguments import as_int64
from tfshim._call import AddressedCall, TokensCall
from tfshim._tensorflow import Tensor, tensorflow
from tfshim._xla_bits import pack, unpack
from tfshim._xla_mask_row import Rows, Settings, budgets_from_ratio, choose_tokens, most_parts
from tfshim._xla_philox import Address
from tfshim._xla_tokens import find_special, make_labels, make_predictions, replace_tokens

__all__ = ["NEEDS_ROW_LENGTH", "RUNS_COMPILED", "mask_rows", "mask_tokens", "why_missing"]

RUNS_COMPILED = True
NEEDS_ROW_LENGTH = True

# Prefix sums of pieces of 255 tokens stay far below 2**31; the time grows faster than the length.
MAX_ROW_LENGTH = 2**20


def why_missing() -> str:
    """Return an empty text: it can always run."""
    return ""


class Inputs(NamedTuple):
    """The tensors of a program, of 32 bits but for what the user passes in 64; one row is a batch."""

    rows: tuple[Tensor | None, Tensor | None, Tensor | None]
    """maskable (bool or integer), word ids, segment ids (int32): (B, L)."""
    address: tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
    """Low and high half of the seed, (), and of the row ids, (B,), and the epoch, () or (B,): uint32."""
    budget: Tensor | None
    """() or (B,) int32, in [0, L]; None where a ratio is given."""


def mask_rows(call: AddressedCall) -> Tensor:
    """Return the mask of `call`, in the dtype of its rows."""
    tf = tensorflow()
    assert call.maskable is not None  # but in a TokensCall: for the type checker
    if tf.executing_eagerly():
        check_values(call, tuple(call.maskable.shape))
    maskable = call.maskable
    settings = settings_of(call, maskable.shape)
    if settings.num_parts == 0:
        return tf.zeros_like(maskable)
    inputs = inputs_of(call, settings.length)
    mask = run(_mask_program, (settings, maskable.dtype), inputs)
    return restore_shape(mask, maskable.shape)


def _mask_program(settings: Settings, dtype: Any, inputs: Inputs) -> Tensor:
    bits = masked_bits(settings, inputs, pack(_is_nonzero(inputs.rows[0])))
    return tensorflow().cast(unpack(bits, settings.length), dtype)


def mask_tokens(call: TokensCall) -> MaskedTokens | PredictionTokens:
    """Return the masked ids of `call`, and what to predict."""
    tf = tensorflow()
    call = call.of_plain_columns()
    shape = call.input_ids.shape
    if call.choice.maskable is not None:
        shape = shape.merge_with(call.choice.maskable.shape)
    if tf.executing_eagerly():
        check_values(call.choice, tuple(shape))
    if call.output == "positions" and call.num_predictions is None:
        raise value_error(
            "max_predictions",
            "given where the budget is known only to the graph, for the implementation 'xla'",
            "None",
            "pass the number of predictions a row",
        )
    settings = settings_of(call.choice, shape)
    if settings.num_parts == 0:
        return _nothing_masked(call, shape)
    inputs = inputs_of(call.choice, settings.length)
    ids = tf.reshape(call.input_ids, [-1, settings.length])
    if call.output == "labels":
        masked = run(_labels_program, (settings, _Hashed(call.params)), inputs, ids)
        return MaskedTokens(*(restore_shape(result, shape) for result in masked))
    static = (settings, _Hashed(call.params), call.num_predictions)
    fixed = shape[:-1].concatenate([call.num_predictions])
    masked_ids, *predictions = run(_predictions_program, static, inputs, ids)
    return PredictionTokens(
        restore_shape(masked_ids, shape), *(restore_shape(result, fixed) for result in predictions)
    )


def _nothing_masked(call: TokensCall, shape: Any) -> MaskedTokens | PredictionTokens:
    """Return the ids as they are: of rows without tokens, or with budgets that are known to be 0."""
    tf = tensorflow()
    ids, index = call.input_ids, call.params.ignore_index
    if call.output == "labels":
        dtype = tf.as_dtype(labels_dtype(index, ids.dtype.as_numpy_dtype))
        return MaskedTokens(ids, tf.fill(tf.shape(ids), tf.constant(index, dtype)))
    fixed = tf.concat([tf.shape(ids)[:-1], [call.num_predictions]], axis=0)
    none = [tf.zeros(fixed, dtype) for dtype in (tf.int32, ids.dtype, tf.float32)]
    for tensor in none:
        tensor.set_shape(shape[:-1].concatenate([call.num_predictions]))
    return PredictionTokens(ids, *none)


class _Hashed:
    """Settings that hold arrays, equal where their contents are."""

    def __init__(self, params: TokenParams) -> None:
        self.params = params
        self._key = (
            params.replacement_thresholds,
            params.mask_id,
            params.ignore_index,
            params.random_ids.tobytes(),
            params.special_ranges.tobytes(),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashed) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


def _labels_program(
    settings: Settings, params: _Hashed, inputs: Inputs, ids: Tensor
) -> tuple[Tensor, Tensor]:
    dtype = ids.dtype.as_numpy_dtype
    _, is_masked, masked_ids = _masked_ids(settings, params.params, inputs, ids)
    index = params.params.ignore_index
    return masked_ids, make_labels(ids, is_masked, index, labels_dtype(index, dtype))


def _predictions_program(
    settings: Settings, params: _Hashed, num_predictions: int, inputs: Inputs, ids: Tensor
) -> tuple[Tensor, ...]:
    bits, _, masked_ids = _masked_ids(settings, params.params, inputs, ids)
    return (masked_ids, *make_predictions(ids, bits, num_predictions))


def _masked_ids(
    settings: Settings, params: TokenParams, inputs: Inputs, ids: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the masked tokens as bits and as booleans, and the ids that are written."""
    tf = tensorflow()
    may_be_masked = tf.logical_not(find_special(ids, params.special_ranges))
    if inputs.rows[0] is not None:
        may_be_masked = tf.logical_and(may_be_masked, _is_nonzero(inputs.rows[0]))
    bits = masked_bits(settings, inputs, pack(may_be_masked))
    is_masked = tf.not_equal(unpack(bits, settings.length), np.uint32(0))
    address = address_of(inputs, tf.shape(ids)[0])
    return bits, is_masked, replace_tokens(address, ids, is_masked, params)


def run(program: Callable[..., Any], static: tuple[Any, ...], *tensors: Any) -> Any:
    """Run `program(*static, *tensors)`: compiled, or as a part of what is being compiled."""
    if _place.is_compiled() or not tensorflow().test.is_built_with_xla():
        return program(*static, *tensors)
    return _compiled(program, static)(*tensors)


@cache
def _compiled(program: Callable[..., Any], static: tuple[Any, ...]) -> Callable[..., Any]:
    def maskcore_xla(*tensors: Any) -> Any:
        return program(*static, *tensors)

    compiled: Callable[..., Any] = tensorflow().function(
        maskcore_xla, jit_compile=True, autograph=False
    )
    return compiled


def settings_of(call: AddressedCall, shape: Any) -> Settings:
    """Return what is known of a call before the graph runs."""
    length = shape[-1]  # known: see NEEDS_ROW_LENGTH
    if length > MAX_ROW_LENGTH:
        raise value_error(
            "maskable_positions",
            "rows of at most 2**20 tokens, for the implementation 'xla'",
            length,
            "pass implementation='custom_op'",
        )
    params = lower_span_params(
        call.max_n, call.ngram_weights, call.masking_ratio, call.max_predictions
    )
    return Settings(
        length=length,
        thresholds=tuple(params.length_thresholds.tolist()),
        num_parts=_num_parts(call, length, params.ratio_e9, params.budget_cap),
        ratio_e9=params.ratio_e9,
        budget_cap=params.budget_cap,
    )


def _num_parts(call: AddressedCall, length: int, ratio_e9: int, budget_cap: int) -> int:
    """Return how many parts can decide a row, by the largest budget that is known."""
    has_words = call.word_ids is not None
    if ratio_e9:
        budgets = budgets_from_ratio(ratio_e9, budget_cap, length)
        sizes = np.arange(length + 1)
        return max(
            most_parts(size, budget, has_words=has_words)
            for size, budget in zip(sizes.tolist(), budgets.tolist(), strict=True)
        )
    known = tensorflow().get_static_value(call.budget)
    if known is None:
        largest = length if budget_cap < 0 else min(budget_cap, length)
        known = np.arange(largest + 1) if has_words else largest
    budgets = np.unique(np.minimum(known, length)).tolist()
    return max((most_parts(length, b, has_words=has_words) for b in budgets), default=0)


def inputs_of(call: AddressedCall, length: int) -> Inputs:
    """Return the tensors of a call: in halves of 32 bits, with a batch axis, without a gradient."""
    tf = tensorflow()
    row_ids = _halves(call.row_ids)
    return Inputs(
        rows=(
            None
            if call.maskable is None
            else _nonzero_bits(tf.reshape(call.maskable, [-1, length])),
            _token_ids(call.word_ids, length),
            _token_ids(call.segment_ids, length),
        ),
        address=(
            *_halves(call.seed),
            *(tf.reshape(half, [-1]) for half in row_ids),
            tf.cast(call.epoch, tf.uint32),
        ),
        budget=None if call.budget is None else _clamped(call.budget, length),
    )


def _halves(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Return the low and the high 32 bits of numbers, uint32."""
    tf = tensorflow()
    if isinstance(numbers, np.ndarray):
        low, high = numbers & 0xFFFFFFFF, numbers >> 32
        return tf.constant(low, tf.uint32), tf.constant(high, tf.uint32)
    if numbers.dtype == tf.int32:
        return tf.bitcast(numbers, tf.uint32), tf.zeros_like(numbers, tf.uint32)
    halves = numbers if numbers.dtype == tf.uint32 else tf.bitcast(numbers, tf.uint32)
    return halves[..., 0], halves[..., 1]


def _nonzero_bits(maskable: Tensor) -> Tensor:
    """Return booleans or integers that are zero where `maskable` is; floats by their bits.

    So a denormal counts, whatever the arithmetic makes of it, and -0.0 does not; NaN counts, too.
    """
    tf = tensorflow()
    if not maskable.dtype.is_floating:
        return maskable
    integer = tf.int32 if maskable.dtype == tf.float32 else tf.int64
    without_sign = tf.constant(integer.max, integer)
    return tf.bitwise.bitwise_and(tf.bitcast(maskable, integer), without_sign)


def _token_ids(ids: Tensor | None, length: int) -> Tensor | None:
    tf = tensorflow()
    return None if ids is None else tf.reshape(tf.cast(ids, tf.int32), [-1, length])


def _clamped(budget: Tensor, length: int) -> Tensor:
    """Return budgets as int32: below 0 is 0, above the length is the length."""
    tf = tensorflow()
    if isinstance(budget, np.ndarray):
        return tf.constant(budget.clip(0, length), tf.int32)
    return tf.cast(tf.clip_by_value(budget, 0, length), tf.int32)


def _is_nonzero(maskable: Tensor) -> Tensor:
    tf = tensorflow()
    return maskable if maskable.dtype == tf.bool else tf.not_equal(maskable, 0)


def masked_bits(settings: Settings, inputs: Inputs, maskable: Tensor) -> Tensor:
    """Return the masked tokens as bits."""
    tf = tensorflow()
    _, words, segments = inputs.rows
    rows = Rows(maskable, _word_starts(words), _segment_starts(segments))
    num_rows = tf.shape(maskable)[1]
    budget = inputs.budget
    if budget is not None:
        budget = _per_row(budget, num_rows)
        if settings.budget_cap >= 0:
            budget = tf.minimum(budget, settings.budget_cap)
    address = address_of(inputs, num_rows)
    return choose_tokens(settings, address, rows, budget)


def address_of(inputs: Inputs, num_rows: Tensor) -> Address:
    """Return the address of each row."""
    seed_low, seed_high, *halves, epoch = inputs.address
    low, high = (_per_row(half, num_rows) for half in halves)
    return Address((seed_low, seed_high), (low, high), _per_row(epoch, num_rows))


def _per_row(numbers: Tensor, num_rows: Tensor) -> Tensor:
    """Return one number for each row; what has another number of them fails here."""
    tf = tensorflow()
    if numbers.shape.rank == 0:
        return tf.fill(tf.reshape(num_rows, [1]), numbers)
    return tf.reshape(numbers, tf.reshape(num_rows, [1]))


def _word_starts(words: Tensor | None) -> Tensor | None:
    """Return where a unit begins (docs/algorithm.md, section 4.1), as bits that are one past the row."""
    if words is None:
        return None
    tf = tensorflow()
    bits = tf.bitwise
    length = words.shape[1]
    is_start = tf.logical_or(words < 0, words != _previous(words))
    is_start = tf.logical_or(is_start, np.arange(length) == 0)
    past = pack(tf.fill([1, length], True))
    return bits.bitwise_or(pack(is_start), bits.invert(past))


def _segment_starts(segments: Tensor | None) -> Tensor | None:
    return None if segments is None else pack(tensorflow().not_equal(segments, _previous(segments)))


def _previous(ids: Tensor) -> Tensor:
    """Return for each token the id of the one before it, for the first its own."""
    return tensorflow().concat([ids[:, :1], ids[:, :-1]], axis=1)


def restore_shape(result: Tensor, shape: Any) -> Tensor:
    """Take the batch axis from what was one row."""
    if shape.rank == 1:
        return result[0]
    result.set_shape(shape)
    return result


def check_values(call: AddressedCall, shape: tuple[int, ...]) -> None:
    """Check the values of eager tensors by maskcore's own checks; those of arrays have been."""
    tf = tensorflow()

    def value(given: Any) -> Any:
        return given.numpy() if tf.is_tensor(given) else given

    try:
        if call.maskable is not None:
            _checks.maskable_array(value(call.maskable))
        if call.budget is not None:
            _checks.budget_scalar_or_rows(value(call.budget), None, call.max_predictions, shape)
        for name, ids in (("word_ids", call.word_ids), ("segment_ids", call.segment_ids)):
            if ids is not None:
                _checks.token_ids_array(name, value(ids), shape)
        _checks.epoch_scalar_or_rows(value(call.epoch), shape)
        _checks.row_ids_or_none(value(as_int64(call.row_ids)), shape)
        _checks.seed_or_entropy(value(as_int64(call.seed)))
    except ValueError as error:
        raise tf.errors.InvalidArgumentError(None, None, str(error)) from error
