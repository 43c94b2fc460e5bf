# SPDX-License-Identifier: Apache-2.0
"""How fast a training runs: steps, tokens, the share of time spent waiting for input, and model FLOPs utilisation.

Owns the arithmetic and its wording, for any framework: the caller says when it waits for a batch and when a step
has ended, and hands in the peak of its devices. Must not know of models, tensors or data sets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["EncoderSize", "Meter", "Speed", "measured_peak", "train_flops_per_token"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSize:
    """The sizes of a transformer encoder that its matrix multiplications depend on."""

    num_layers: int
    """How often a layer is applied, whether or not layers share their weights."""
    hidden_size: int
    feed_forward_size: int
    embedding_size: int
    """That of the token embeddings; where it is not `hidden_size`, they are projected."""
    vocab_size: int
    seq_length: int
    num_predictions: int
    """Tokens of a row that the masked-LM head is applied to."""
    num_pair_classes: int = 0
    """Outputs of the head for sentence pairs; 0: no such head."""


def train_flops_per_token(size: EncoderSize) -> float:
    """Return the FLOPs that training needs for a token of the input, padding included.

    Six for each weight that a token is multiplied with, two forward and four backward [1]_, and
    12 x layers x hidden size x row length for attention [2]_. Weights count as often as they are applied: shared
    layers once a layer, those of a head for the tokens that it sees. Looking up embeddings costs none.

    References
    ----------
    .. [1] Kaplan et al., "Scaling Laws for Neural Language Models", 2020, section 2.1.
    .. [2] Chowdhery et al., "PaLM: Scaling Language Modeling with Pathways", 2022, appendix B.

    Examples
    --------
    >>> bert_small = EncoderSize(
    ...     num_layers=4, hidden_size=512, feed_forward_size=2048, embedding_size=512,
    ...     vocab_size=30_522, seq_length=128, num_predictions=20,
    ... )
    >>> round(train_flops_per_token(bert_small) / 1e6, 1)
    93.5

    """
    hidden, embedding = size.hidden_size, size.embedding_size
    weights = size.num_layers * (4 * hidden**2 + 2 * hidden * size.feed_forward_size)
    if embedding != hidden:
        weights += embedding * hidden
    of_predictions = hidden * embedding + embedding * size.vocab_size
    of_pairs = hidden**2 + hidden * size.num_pair_classes if size.num_pair_classes else 0
    per_row = size.num_predictions * of_predictions + of_pairs
    attention = 12 * size.num_layers * hidden * size.seq_length
    return 6 * (weights + per_row / size.seq_length) + attention


@dataclass(frozen=True, slots=True)
class Speed:
    """Measured steps."""

    steps: int
    seconds: float
    input_wait_seconds: float
    tokens: int
    flops: float
    """Those of all steps, by `train_flops_per_token`."""
    peak_flops: float | None
    """A second, of all devices together."""

    @property
    def steps_per_second(self) -> float:
        """Steps a second."""
        return self.steps / self.seconds

    @property
    def tokens_per_second(self) -> float:
        """Tokens a second, padding included."""
        return self.tokens / self.seconds

    @property
    def input_wait_share(self) -> float:
        """The share of the time in which the loop had no batch, in [0, 1]."""
        return self.input_wait_seconds / self.seconds

    @property
    def utilisation(self) -> float | None:
        """Model FLOPs utilisation: the share of the peak that the model's own FLOPs use; None without a peak."""
        if self.peak_flops is None:
            return None
        return self.flops / self.seconds / self.peak_flops

    def __str__(self) -> str:
        """Return one line of text."""
        parts = [
            f"{self.steps_per_second:.2f} steps/s",
            f"{self.tokens_per_second:,.0f} tokens/s",
            f"input wait {self.input_wait_share:.1%}",
        ]
        if self.utilisation is not None:
            parts.append(f"MFU {self.utilisation:.1%}")
        return ", ".join(parts)


class Meter:
    """Tells the speed of a training loop.

    Parameters
    ----------
    tokens_per_step : int
        Of all devices together.
    flops_per_token : float
        See `train_flops_per_token`.
    peak_flops : float, optional
        FLOPs a second of all devices together, from their data sheet or `measured_peak`.
    warmup_steps : int
        The first steps, which trace, compile and fill queues; they are left out.
    clock : function
        Returns seconds.

    Examples
    --------
    >>> meter = Meter(tokens_per_step=4096, flops_per_token=9e7, warmup_steps=1)
    >>> for _ in range(3):
    ...     with meter.waiting_for_input():
    ...         batch = range(4096)
    ...     _ = sum(batch)  # the step; it must have ended on the device, too
    ...     meter.end_step()
    >>> meter.total().steps
    2

    """

    def __init__(
        self,
        *,
        tokens_per_step: int,
        flops_per_token: float,
        peak_flops: float | None = None,
        warmup_steps: int = 2,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._tokens_per_step = tokens_per_step
        self._flops_per_token = flops_per_token
        self._peak_flops = peak_flops
        self._warmup_steps_left = warmup_steps
        self._clock = clock
        self._step_began = clock()
        self._step_waited = 0.0
        self._measured: list[tuple[float, float]] = []
        """Seconds, and those of them spent waiting, of each step."""
        self._num_told = 0

    @contextmanager
    def waiting_for_input(self) -> Iterator[None]:
        """Count the time inside as waiting for input."""
        began = self._clock()
        try:
            yield
        finally:
            self._step_waited += self._clock() - began

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out the time inside: evaluation, checkpoints."""
        began = self._clock()
        try:
            yield
        finally:
            self._step_began += self._clock() - began

    def end_step(self) -> None:
        """Say that a step has ended, on the devices as well."""
        now = self._clock()
        if self._warmup_steps_left:
            self._warmup_steps_left -= 1
        else:
            self._measured.append((now - self._step_began, self._step_waited))
        self._step_began, self._step_waited = now, 0.0

    def lap(self) -> Speed | None:
        """Return the speed since the last lap; None where no step was measured since."""
        first, self._num_told = self._num_told, len(self._measured)
        return self._speed(self._measured[first:])

    def total(self) -> Speed | None:
        """Return the speed of all steps but the first few; None where there were no others."""
        return self._speed(self._measured)

    def _speed(self, steps: list[tuple[float, float]]) -> Speed | None:
        if not steps:
            return None
        tokens = len(steps) * self._tokens_per_step
        return Speed(
            steps=len(steps),
            seconds=sum(seconds for seconds, _ in steps),
            input_wait_seconds=sum(waited for _, waited in steps),
            tokens=tokens,
            flops=tokens * self._flops_per_token,
            peak_flops=self._peak_flops,
        )


def measured_peak(
    multiply: Callable[[], object],
    flops: float,
    *,
    seconds: float = 1.0,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return the FLOPs a second of the quickest of many calls, the first one left out.

    Parameters
    ----------
    multiply : function
        Multiplies large matrices in the precision of the training, and returns when the devices have ended.
    flops : float
        Those of one call: 2 n^3 for matrices of (n, n).
    seconds : float
        How long to try, three calls at least.

    """
    multiply()
    quickest = float("inf")
    started = clock()
    calls = 0
    while calls < 3 or clock() - started < seconds:
        began = clock()
        multiply()
        quickest = min(quickest, clock() - began)
        calls += 1
    return flops / quickest
