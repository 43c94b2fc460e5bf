# SPDX-License-Identifier: Apache-2.0
"""A model in training: its optimizer, the step under a `tf.distribute` strategy, and evaluation.

Owns what XLA compiles, and how sums of replicas and steps become means. Knows nothing of files, options or
clocks; the model and its loss are in encoder_keras.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import tensorflow as tf
from encoder_keras import Encoder, loss_sums
from meter import EncoderSize
from training_run import added, means

__all__ = ["Trainer", "numbers"]

keras = tf.keras

Batch = dict[str, Any]


class Trainer:
    """A model, its optimizer and the functions that train and evaluate it under a strategy.

    Parameters
    ----------
    size, num_heads, share_layers
        As for `Encoder`.
    data : dataset
        Of masked batches; its shapes build the model.
    schedule : LearningRateSchedule, or float
    weight_decay : float
    strategy : tf.distribute.Strategy, optional
    jit_compile : bool
        XLA compiles forward and backward.
    mask : function, optional
        From a batch of the training to a masked one, where batches come without masks.

    """

    def __init__(
        self,
        size: EncoderSize,
        data: Any,
        *,
        num_heads: int,
        share_layers: bool,
        schedule: Any,
        weight_decay: float = 0.01,
        strategy: Any = None,
        jit_compile: bool = False,
        mask: Callable[[Batch], Batch] | None = None,
    ) -> None:
        self.strategy = strategy or tf.distribute.get_strategy()
        self.schedule = schedule
        self._mask = mask
        with self.strategy.scope():
            self.model = Encoder(size, num_heads=num_heads, share_layers=share_layers)
            self.model({name: tf.zeros(s.shape, s.dtype) for name, s in data.element_spec.items()})
            self.optimizer = keras.optimizers.AdamW(schedule, weight_decay=weight_decay)
            self.optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
            self.optimizer.build(self.model.trainable_variables)
        # Compiled is what computes most; updates, which replicas add up, are not.
        compiled = partial(tf.function, jit_compile=jit_compile, autograph=False)
        self._gradients = compiled(self._gradients_of_replica)
        self._sums = compiled(self._sums_of_replica)
        self.train_step = tf.function(self._train_step, autograph=False)
        self.eval_step = tf.function(self._eval_step, autograph=False)

    def _sums_of_replica(self, batch: Batch) -> Batch:
        return loss_sums(batch, self.model(batch))

    def _gradients_of_replica(self, batch: Batch) -> tuple[list[Any], Batch]:
        if self._mask is not None:
            batch = self._mask(batch)
        with tf.GradientTape() as tape:
            sums = self._sums_of_replica(batch)
            # Means of each replica's rows; replicas count alike, and their gradients are added.
            losses = [value for name, value in means(sums).items() if name.endswith("loss")]
            loss = tf.add_n(losses) / self.strategy.num_replicas_in_sync
        gradients = tape.gradient(loss, self.model.trainable_variables)
        return [tf.convert_to_tensor(gradient) for gradient in gradients], sums

    def _train_step(self, batch: Batch) -> Batch:
        def step(batch: Batch) -> Batch:
            gradients, sums = self._gradients(batch)
            variables = self.model.trainable_variables
            self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
            return sums

        return self._added(self.strategy.run(step, args=(batch,)))

    def _eval_step(self, batch: Batch) -> Batch:
        return self._added(self.strategy.run(self._sums, args=(batch,)))

    def _added(self, of_replicas: Batch) -> Batch:
        return {
            name: self.strategy.reduce("SUM", one, axis=None) for name, one in of_replicas.items()
        }

    def distributed(self, data: Any) -> Any:
        """Return a dataset whose batches come as the strategy wants them."""
        return self.strategy.experimental_distribute_dataset(data)

    def learning_rate(self, step: int) -> float:
        """Return that of the update that a step ends with; steps count from 1."""
        return float(self.schedule(step - 1))

    def evaluate(self, data: Iterable[Batch]) -> dict[str, float]:
        """Return means over a dataset."""
        return means(added(numbers(self.eval_step(batch)) for batch in data))


def numbers(sums: Batch) -> dict[str, float]:
    """Return sums as Python's numbers; it waits until the devices have made them."""
    return {name: float(value) for name, value in sums.items()}
