# SPDX-License-Identifier: Apache-2.0
"""docs/examples/meter.py: speeds, waits and utilisation by a clock that the test moves, FLOPs against sums by hand."""

from __future__ import annotations

import doctest
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs" / "examples"))

import meter
from meter import EncoderSize, Meter, train_flops_per_token


class Clock:
    """Seconds that pass only when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run_step(made: Meter, clock: Clock, waits: float, computes: float) -> None:
    with made.waiting_for_input():
        clock.now += waits
    clock.now += computes
    made.end_step()


def test_speed_of_the_steps_after_the_first_ones() -> None:
    clock = Clock()
    made = Meter(
        tokens_per_step=1000, flops_per_token=3.0, peak_flops=6000.0, warmup_steps=2, clock=clock
    )
    for _ in range(2):
        run_step(made, clock, waits=50.0, computes=70.0)
    assert made.total() is None and made.lap() is None
    for _ in range(4):
        run_step(made, clock, waits=0.25, computes=0.75)
    speed = made.total()
    assert speed is not None
    assert (speed.steps, speed.seconds, speed.tokens) == (4, 4.0, 4000)
    assert (speed.steps_per_second, speed.tokens_per_second) == (1.0, 1000.0)
    assert (speed.input_wait_share, speed.utilisation) == (0.25, 0.5)
    assert str(speed) == "1.00 steps/s, 1,000 tokens/s, input wait 25.0%, MFU 50.0%"


def test_laps_and_pauses() -> None:
    """A lap holds its own steps; time of evaluation counts nowhere, wherever in a step it falls."""
    clock = Clock()
    made = Meter(tokens_per_step=10, flops_per_token=1.0, warmup_steps=0, clock=clock)
    run_step(made, clock, waits=0.0, computes=2.0)
    first = made.lap()
    with made.paused():
        clock.now += 1000.0
    run_step(made, clock, waits=1.0, computes=3.0)
    second, total = made.lap(), made.total()
    assert first is not None and second is not None and total is not None
    assert (first.steps, first.seconds, first.input_wait_share) == (1, 2.0, 0.0)
    assert (second.steps, second.seconds, second.input_wait_share) == (1, 4.0, 0.25)
    assert (total.steps, total.seconds) == (2, 6.0)
    assert total.utilisation is None and "MFU" not in str(total)
    assert made.lap() is None


def test_waits_of_warm_up_steps_are_left_out() -> None:
    clock = Clock()
    made = Meter(tokens_per_step=1, flops_per_token=1.0, warmup_steps=1, clock=clock)
    run_step(made, clock, waits=9.0, computes=1.0)
    run_step(made, clock, waits=0.0, computes=1.0)
    speed = made.total()
    assert speed is not None and speed.input_wait_share == 0.0


SMALL = {
    "num_layers": 2,
    "hidden_size": 4,
    "feed_forward_size": 8,
    "vocab_size": 10,
    "seq_length": 5,
    "num_predictions": 1,
}


@pytest.mark.parametrize(
    ("size", "flops"),
    [
        # Layers 2 (4 x 16 + 2 x 32) = 256 weights, the head 16 + 40 for one token of five; attention 12 x 2 x 4 x 5.
        ({"embedding_size": 4}, 6 * (256 + 56 / 5) + 480),
        # Projections 2 x 4, the head 8 + 20, that of pairs 16 + 8.
        ({"embedding_size": 2, "num_pair_classes": 2}, 6 * (264 + 28 / 5 + 24 / 5) + 480),
    ],
)
def test_flops_of_a_token(size: dict[str, int], flops: float) -> None:
    found = train_flops_per_token(EncoderSize(**SMALL, **size))
    assert round(found, 6) == round(flops, 6)


def test_flops_of_bert_base() -> None:
    """Some 6 x 85 M weights of the layers, 14.2 MFLOPs for attention, and a sixth of the heads' 24 M."""
    bert_base = EncoderSize(
        num_layers=12,
        hidden_size=768,
        feed_forward_size=3072,
        embedding_size=768,
        vocab_size=30_522,
        seq_length=128,
        num_predictions=20,
        num_pair_classes=2,
    )
    # 12 x 7,077,888 weights; 20/128 of 589,824 + 23,440,896; 1/128 of 591,360.
    expected = 6 * (84_934_656 + 24_030_720 * 20 / 128 + 591_360 / 128) + 14_155_776
    assert expected == 546_320_232
    assert round(train_flops_per_token(bert_base)) == 546_320_232


def test_the_peak_is_that_of_the_quickest_call() -> None:
    clock = Clock()
    durations = iter([50.0, 4.0, 2.0, 8.0, 1.0])

    def multiply() -> None:
        clock.now += next(durations)

    assert meter.measured_peak(multiply, 32.0, seconds=0.0, clock=clock) == 16.0


def test_its_examples() -> None:
    assert doctest.testmod(meter) == (0, 5)


@pytest.mark.parametrize(("embedding_size", "num_pair_classes"), [(16, 2), (32, 0)])
def test_flops_are_those_that_pytorch_counts(embedding_size: int, num_pair_classes: int) -> None:
    """All matrix multiplications of a step of the example's encoder, as PyTorch's dispatcher sees them."""
    import encoder_torch
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    size = EncoderSize(
        num_layers=3,
        hidden_size=32,
        feed_forward_size=64,
        embedding_size=embedding_size,
        vocab_size=100,
        seq_length=24,
        num_predictions=5,
        num_pair_classes=num_pair_classes,
    )
    encoder = encoder_torch.Encoder(size, num_heads=4, share_layers=True)
    row, predicted = torch.ones((2, 24), dtype=torch.int64), torch.ones((2, 5), dtype=torch.int64)
    batch = {
        **dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), row),
        **dict.fromkeys(("masked_lm_positions", "masked_lm_ids"), predicted),
        "masked_lm_weights": predicted.float(),
        "next_sentence_labels": predicted[:, :1],
    }
    # Attention written out, since the fused one is not counted on CPUs.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        sums = encoder_torch.loss_sums(batch, encoder(batch))
        sum(total for name, total in sums.items() if name.endswith("loss")).backward()
    assert counter.get_total_flops() == train_flops_per_token(size) * 2 * 24
