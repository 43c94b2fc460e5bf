# SPDX-License-Identifier: Apache-2.0
"""The implementation by the compiled op. Conversion only: the ops check values, csrc/ computes."""

from __future__ import annotations

from typing import Any

import numpy as np

from maskcore._params import lower_span_params
from maskcore.tokens import MaskedTokens, PredictionTokens, labels_dtype
from tfshim._arguments import as_int64
from tfshim._call import AddressedCall, ClassicCall, TokensCall
from tfshim._op_library import why_missing, wrapper
from tfshim._tensorflow import Tensor, tensorflow

__all__ = ["mask_rows", "mask_rows_anew", "mask_tokens", "why_missing"]

_NO_BUDGET = np.zeros(
    (), np.int64
)  # not read where a ratio is given; an np.int64 is slow in eager code
_INT32 = np.iinfo(np.int32)


def mask_rows(call: AddressedCall) -> Tensor:
    """Return the mask of `call`, in the dtype of its rows."""
    return wrapper("mask_positions")(maskable_positions=call.maskable, **_span_arguments(call))


def mask_tokens(call: TokensCall) -> MaskedTokens | PredictionTokens:
    """Return the masked ids of `call`, and what to predict."""
    params = call.params
    maskable = call.choice.maskable
    wants_labels = call.output == "labels"
    ids_dtype = call.input_ids.dtype if call.ids_dtype is None else call.ids_dtype
    labels = labels_dtype(params.ignore_index, ids_dtype.as_numpy_dtype)
    masked = wrapper("mask_tokens")(
        input_ids=call.input_ids,
        replacement_thresholds=np.array(params.replacement_thresholds),
        random_ids=params.random_ids,
        special_ranges=params.special_ranges,
        maskable_positions=[] if maskable is None else [maskable],
        wants_labels=int(wants_labels),
        wants_predictions=int(not wants_labels),
        mask_id=params.mask_id,
        ignore_index=params.ignore_index if wants_labels else 0,
        Tmasked_ids=ids_dtype,
        Tlabels=tensorflow().as_dtype(labels),
        **_span_arguments(call.choice),
    )
    if wants_labels:
        return MaskedTokens(masked.masked_ids, masked.labels[0])
    return PredictionTokens(
        masked.masked_ids,
        masked.masked_lm_positions[0],
        masked.masked_lm_ids[0],
        masked.masked_lm_weights[0],
    )


def _span_arguments(call: AddressedCall) -> dict[str, Any]:
    """Return what the stateless ops have in common."""
    cap = call.max_predictions
    params = lower_span_params(call.max_n, call.ngram_weights, call.masking_ratio, cap)
    return {
        "num_tokens_to_mask": _NO_BUDGET if call.budget is None else as_int64(call.budget),
        "length_thresholds": params.length_thresholds.astype(np.int32),
        "seed": as_int64(call.seed),
        "epoch": as_int64(call.epoch),
        "row_ids": as_int64(call.row_ids),
        "word_ids": [] if call.word_ids is None else [call.word_ids],
        "segment_ids": [] if call.segment_ids is None else [call.segment_ids],
        "first_word_id": call.first_word_id,
        "ratio_e9": params.ratio_e9,
        "max_predictions": params.budget_cap,
    }


def mask_rows_anew(call: ClassicCall) -> Tensor:
    """Return a new mask at every run, in the dtype of the rows."""
    tf = tensorflow()
    dtype = call.maskable.dtype
    mask = wrapper("get_masking_position")(
        maskable_positions=_as_float32(call.maskable),
        max_n=_saturate_int32(call.max_n),
        num_tokens_to_mask=_saturate_int32(call.budget),
        seed=call.seed,
    )
    return mask if dtype == tf.float32 else tf.cast(mask, dtype)


def _as_float32(maskable: Tensor) -> Tensor:
    """Cast so that nonzero stays nonzero, and NaN stays NaN."""
    tf = tensorflow()
    if maskable.dtype == tf.float32:
        return maskable
    if maskable.dtype != tf.float64:
        return tf.cast(maskable, tf.float32)
    # A float64 below float32's range would become zero; its bits as an integer, without the sign,
    # do not.
    bits = tf.bitwise.bitwise_and(tf.bitcast(maskable, tf.int64), tf.constant(2**63 - 1, tf.int64))
    return tf.where(
        tf.math.is_nan(maskable), tf.constant(np.nan, tf.float32), tf.cast(bits, tf.float32)
    )


def _saturate_int32(numbers: Tensor) -> Any:
    """Cast to int32; what does not fit is out of range, or above every row's length, as before."""
    tf = tensorflow()
    if isinstance(numbers, np.ndarray):
        return numbers.clip(_INT32.min, _INT32.max).tolist()
    return tf.cast(tf.clip_by_value(numbers, _INT32.min, _INT32.max), tf.int32)
