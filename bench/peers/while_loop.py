# SPDX-License-Identifier: Apache-2.0
"""N-gram masking of one row in TensorFlow operations around a `tf.while_loop`.

Our own version of the three steps of the text that introduced `GetMaskingPosition`
("TensorFlow Custom Op으로 데이터 변환 최적화하기", Jeong and Hong, 2021): a loop cuts the row into
n-grams of random length, the n-grams are shuffled, and the first ones are masked until the budget
is met. Knows nothing of maskcore.
"""

from __future__ import annotations

import tensorflow as tf


def mask_row(maskable_positions: tf.Tensor, num_tokens_to_mask: tf.Tensor, max_n: int) -> tf.Tensor:
    """Return 1.0 at `num_tokens_to_mask` of the maskable tokens of a row, shape (L,) float32."""
    row_length = tf.size(maskable_positions)
    logits = -tf.math.log(tf.range(1, max_n + 1, dtype=tf.float32))[tf.newaxis]

    def has_tokens_left(
        first: tf.Tensor, num_ngrams: tf.Tensor, ngrams: tf.TensorArray
    ) -> tf.Tensor:
        return first < row_length

    def cut_ngram(
        first: tf.Tensor, num_ngrams: tf.Tensor, ngrams: tf.TensorArray
    ) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
        length = tf.random.categorical(logits, 1, dtype=tf.int32)[0, 0] + 1
        length = tf.minimum(length, row_length - first)
        positions = tf.range(first, first + length)
        padded = tf.pad(positions, [[0, max_n - length]], constant_values=-1)
        return first + length, num_ngrams + 1, ngrams.write(num_ngrams, padded)

    _, _, ngrams = tf.while_loop(
        has_tokens_left,
        cut_ngram,
        (
            tf.constant(0),
            tf.constant(0),
            tf.TensorArray(tf.int32, size=0, dynamic_size=True, element_shape=[max_n]),
        ),
    )
    shuffled = tf.reshape(tf.random.shuffle(ngrams.stack()), [-1])
    positions = tf.boolean_mask(shuffled, shuffled >= 0)
    is_maskable = tf.gather(maskable_positions, positions) > 0
    masked = tf.boolean_mask(positions, is_maskable)[:num_tokens_to_mask]
    return tf.scatter_nd(
        masked[:, tf.newaxis], tf.ones_like(masked, tf.float32), tf.shape(maskable_positions)
    )
