# SPDX-License-Identifier: Apache-2.0
"""What the project promises of its speed, as data, and how a run keeps it.

Owns the limits and their arithmetic. Knows nothing of tables or terminals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.results import ROW_LENGTHS, Run

BEST = "native-avx512"


@dataclass(frozen=True)
class Target:
    """A number of a run that must be at most, or at least, a limit."""

    label: str
    unit: str
    needs: tuple[str, ...]
    """Names of the figures that it is made of."""
    value: Callable[..., float]
    """From the medians of `needs`, in nanoseconds a row, to the number."""
    limit: float
    is_ceiling: bool = True


@dataclass(frozen=True)
class Verdict:
    """A target held against a run."""

    target: Target
    measured: float | None
    """None where a figure is missing."""
    missing: tuple[str, ...] = ()

    @property
    def is_met(self) -> bool:
        """Whether the number was measured and keeps the limit."""
        return self.measured is not None and self.share_of_limit <= 1.0

    @property
    def share_of_limit(self) -> float:
        """Measured over limit, for a floor limit over measured: at most 1 where met."""
        measured = self.measured or float("nan")
        limit = self.target.limit
        return measured / limit if self.target.is_ceiling else limit / measured


def _cost(label: str, figure: str, limit_ns: float) -> Target:
    return Target(label, "ns", (figure,), lambda ns: ns, limit_ns)


def _speedup(label: str, peer: str, times: float) -> Target:
    return Target(
        f"AVX-512 faster than {label}",
        "times",
        (BEST, peer),
        lambda ours, theirs: theirs / ours,
        times,
        False,
    )


def _tokenising(label: str, kind: str, times: float) -> Target:
    return Target(
        f"tokenising faster than `encode_batch_fast`, {label}",
        "times",
        (f"tokens-{kind}", f"tokens-{kind}-peer"),
        lambda ours, theirs: theirs / ours,
        times,
        False,
    )


def _flatness(*ns_per_row: float) -> float:
    ns_per_token = [ns / length for ns, length in zip(ns_per_row, ROW_LENGTHS, strict=True)]
    return max(ns_per_token) / min(ns_per_token)


def _pipeline(label: str, peer: str, limit: float, ours: str = "masked") -> tuple[Target, ...]:
    return tuple(
        Target(
            f"rows/s of `masked_dataset` over {label}, {layout}",
            "times",
            (f"pipeline-{ours}-{layout}", f"pipeline-{peer}-{layout}"),
            lambda ours, theirs: theirs / ours,
            limit,
            False,
        )
        for layout in ("int64", "compact")
    )


TARGETS = (
    _cost("a row, native, AVX-512", BEST, 130),
    _cost("a row, native, AVX2", "native-avx2", 250),
    _cost("a row, native, scalar", "native-scalar", 500),
    _cost("a row, `mask_tokens` on int32 ids", "mask-tokens-range", 350),
    _cost("a row, Numba", "numba", 1000),
    _cost("one call with one row", "single-call", 3000),
    # 300,000 a second.
    _cost("a record of 128 tokens, written to its file", "records-written-128", 1e9 / 300_000),
    # 250,000 a second, on one thread.
    _cost(
        "a compact record of 512 tokens, read and parsed in tf.data",
        "parse-compact-512",
        1e9 / 250_000,
    ),
    _tokenising("WordPiece", "wordpiece", 1.8),
    _tokenising("byte-level BPE", "byte-bpe", 1.0),
    _tokenising("unigram", "unigram", 1.0),
    _tokenising("SentencePiece", "sentencepiece", 1.0),
    _speedup("`torch_mask_tokens` on the same batch", "torch-mask-tokens-4096", 60),
    _speedup("`torch_mask_tokens` in batches of 256", "torch-mask-tokens-256", 60),
    _speedup("tensorflow-text", "tensorflow-text", 150),
    _speedup("ALBERT-style Python", "albert-style-numpy", 1000),
    _speedup("`tf.while_loop` in `tf.function`", "while-loop-function", 5000),
    Target(
        "dearest over cheapest token, rows of 64 to 65,536",
        "times",
        tuple(f"row-length-{length}" for length in ROW_LENGTHS),
        _flatness,
        2.0,
    ),
    Target(
        "the classic op over a raw Identity, eager",
        "ns",
        ("classic-op-eager", "identity-eager"),
        lambda op, identity: op - identity,
        2000,
    ),
    Target(
        "(256, 128) in a tf.data map over (2 x identity map + kernel)",
        "times",
        ("map-masked", "map-identity", "map-kernel"),
        lambda masked, identity, kernel: masked / (2 * identity + kernel),
        1.0,
    ),
    Target(
        "the op MaskTokens on (256, 128), eager, less a raw Identity, over the kernel",
        "times",
        ("tokens-op-eager", "identity-eager", "map-tokens-kernel"),
        lambda op, identity, kernel: (op - identity) / kernel,
        2.0,
    ),
    _cost("a row, XLA, (256, 128), 20 masked", "xla-positions-128", 5000),
    _cost("a row, XLA, (256, 512), 77 masked", "xla-positions-512", 35_000),
    *_pipeline("those without its masks", "all-cores-unmasked", 0.85, "all-cores-masked"),
    *_pipeline("those parsed one record at a time", "per-record", 1.5),
    *_pipeline("those masked by `tf.while_loop`", "while-loop", 30),
)


def verdicts(run: Run) -> list[Verdict]:
    """Hold every target against a run."""
    return [_verdict(target, run) for target in TARGETS]


def _verdict(target: Target, run: Run) -> Verdict:
    missing = tuple(name for name in target.needs if name not in run.timings)
    if missing:
        return Verdict(target, None, missing)
    return Verdict(target, target.value(*(run.timings[name].median * 1e9 for name in target.needs)))
