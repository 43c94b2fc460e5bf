# SPDX-License-Identifier: Apache-2.0
"""A transformer encoder in plain Keras, in the manner of ALBERT or of BERT, with heads for masked tokens and pairs.

Owns the model and what it is trained to minimise. Knows nothing of files, strategies or steps. Runs on Keras 3
with TensorFlow and on Keras 2 (TensorFlow 2.15).
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from meter import EncoderSize

__all__ = ["Encoder", "loss_sums"]

keras = tf.keras

Tensor = Any
INITIAL_STDDEV = 0.02  # BERT's and ALBERT's initializer_range
NORM_EPSILON = 1e-12  # theirs, too


def _initial() -> Any:
    """Return an initialiser for one weight: Keras 3 gives the same values at each call of one."""
    return keras.initializers.TruncatedNormal(stddev=INITIAL_STDDEV)


def _dense(units: int, activation: str | None = None) -> Any:
    return keras.layers.Dense(units, activation=activation, kernel_initializer=_initial())


def _norm() -> Any:
    return keras.layers.LayerNormalization(epsilon=NORM_EPSILON)


class EncoderLayer(keras.layers.Layer):
    """Attention, then feed-forward; each is added to what it was given, and normalised."""

    def __init__(self, size: EncoderSize, num_heads: int) -> None:
        super().__init__()
        self.attention = keras.layers.MultiHeadAttention(
            num_heads, size.hidden_size // num_heads, kernel_initializer=_initial()
        )
        self.attention_norm = _norm()
        self.widen = _dense(size.feed_forward_size, "gelu")
        self.narrow = _dense(size.hidden_size)
        self.norm = _norm()

    def call(self, states: Tensor, may_attend: Tensor) -> Tensor:
        """Return new states, (batch, length, hidden)."""
        attended = self.attention(states, states, attention_mask=may_attend)
        states = self.attention_norm(states + attended)
        return self.norm(states + self.narrow(self.widen(states)))


class Encoder(keras.Model):
    """Embeddings, layers, and a head for each task.

    Parameters
    ----------
    size : EncoderSize
        Where the embeddings are smaller than the states they are projected, as in ALBERT. Without
        `num_pair_classes` there is no head for pairs.
    num_heads : int
        Divides the hidden size.
    share_layers : bool
        One layer, applied `num_layers` times, as in ALBERT.

    """

    def __init__(self, size: EncoderSize, *, num_heads: int, share_layers: bool) -> None:
        super().__init__()
        if size.hidden_size % num_heads:
            raise ValueError(
                f"num_heads must divide the hidden size {size.hidden_size}, got {num_heads}"
            )
        self.size = size
        width = size.embedding_size
        self.token_table = self._table("token_table", size.vocab_size, width)
        self.position_table = self._table("position_table", size.seq_length, width)
        self.type_table = self._table("type_table", 2, width)
        self.embedding_norm = _norm()
        self.project = _dense(size.hidden_size) if width != size.hidden_size else None
        num_distinct = 1 if share_layers else size.num_layers
        self.encoder_layers = [EncoderLayer(size, num_heads) for _ in range(num_distinct)]
        self.prediction = _dense(width, "gelu")
        self.prediction_norm = _norm()
        self.prediction_bias = self.add_weight(
            name="prediction_bias", shape=(size.vocab_size,), initializer="zeros"
        )
        self.pooler = self.pair = None
        if size.num_pair_classes:
            self.pooler = _dense(size.hidden_size, "tanh")
            self.pair = _dense(size.num_pair_classes)

    def _table(self, name: str, rows: int, width: int) -> Any:
        return self.add_weight(name=name, shape=(rows, width), initializer=_initial())

    def call(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return float32 logits: "masked_lm" (batch, P, vocab) and, with pairs, "pair" (batch, classes)."""
        states = self._states(batch)
        predicted = tf.gather(states, batch["masked_lm_positions"], batch_dims=1)
        predicted = self.prediction_norm(self.prediction(predicted))
        table = tf.cast(tf.convert_to_tensor(self.token_table), predicted.dtype)
        logits = tf.einsum("bpe,ve->bpv", predicted, table)
        found = {
            "masked_lm": tf.cast(logits, tf.float32) + tf.cast(self.prediction_bias, tf.float32)
        }
        if self.pair is not None:
            found["pair"] = tf.cast(self.pair(self.pooler(states[:, 0])), tf.float32)
        return found

    def _states(self, batch: dict[str, Tensor]) -> Tensor:
        ids = batch["input_ids"]
        embedded = tf.gather(self.token_table, ids) + tf.gather(
            self.type_table, batch["token_type_ids"]
        )
        states = self.embedding_norm(embedded + self.position_table[: ids.shape[1]])
        if self.project is not None:
            states = self.project(states)
        may_attend = batch["attention_mask"][:, None, :] > 0
        if "segment_ids" in batch:  # documents that share a row do not see each other
            documents = batch["segment_ids"]
            may_attend &= documents[:, :, None] == documents[:, None, :]
        for number in range(self.size.num_layers):
            layer = self.encoder_layers[number % len(self.encoder_layers)]
            states = layer(states, may_attend)
        return states


def loss_sums(batch: dict[str, Tensor], logits: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return sums over a batch, which add up over replicas and steps.

    Returns
    -------
    dict of float32 scalars
        "masked_lm_loss" and "masked_lm_correct" over "masked_lm_count" tokens; with pairs "pair_loss" and
        "pair_correct" over "pair_count" rows.

    """
    weights = batch["masked_lm_weights"]
    sums = _sums("masked_lm", batch["masked_lm_ids"], logits["masked_lm"], weights)
    if "pair" in logits:
        labels = tf.squeeze(batch["next_sentence_labels"], axis=1)
        sums |= _sums("pair", labels, logits["pair"], tf.ones_like(labels, tf.float32))
    return sums


def _sums(name: str, labels: Tensor, logits: Tensor, weights: Tensor) -> dict[str, Tensor]:
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    is_correct = tf.argmax(logits, axis=-1, output_type=tf.int32) == labels
    return {
        f"{name}_loss": tf.reduce_sum(losses * weights),
        f"{name}_correct": tf.reduce_sum(tf.cast(is_correct, tf.float32) * weights),
        f"{name}_count": tf.reduce_sum(weights),
    }
