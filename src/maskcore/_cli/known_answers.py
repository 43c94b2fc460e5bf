# SPDX-License-Identifier: Apache-2.0
"""Known answers that ship with the package, and the checks of backends and codecs against them.

Owns the published vectors of the generator, a few rows whose masks are fixed for ALGORITHM_VERSION 1,
and a record. Knows nothing of how backends compute.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import maskcore
from maskcore.records.encoding._codec import Codec

__all__ = ["PHILOX_VECTORS", "ROWS", "KnownRow", "check_backend", "check_codec"]

# Random123 1.14, tests/kat_vectors, "philox4x32 10": counter, key, result.
PHILOX_VECTORS: tuple[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]], ...] = (
    (
        (0x00000000, 0x00000000, 0x00000000, 0x00000000),
        (0x00000000, 0x00000000),
        (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
    ),
    (
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
)

# CRC-32C of the ASCII digits 1 to 9, the check value of CRC catalogues.
CRC32C_OF_DIGITS = 0xE3069283
# The record of the message `abc`, as TensorFlow 2.21 writes it and docs/records.md shows it.
RECORD_OF_ABC = bytes.fromhex("0300000000000000 b099490e 616263 6e57f121")

# Backend -> where its generator can be called with the six words; the rows below reach it through
# whole masks, too.
_GENERATORS = {
    "native": ("maskcore._core", "philox4x32_10"),
    "numba": ("maskcore._numba.kernels", "philox4x32_10"),
    "reference": ("maskcore._reference.philox", "philox4x32_10"),
}


class KnownRow(NamedTuple):
    """Arguments of `maskcore.mask_spans`, and its answer."""

    what: str
    arguments: dict[str, Any]
    spans: str
    """One digit for each token."""


def _row(maskable: str, **others: Any) -> dict[str, Any]:
    return {"maskable_positions": [int(digit) for digit in maskable], **others}


def _digits(text: str) -> list[int]:
    return [int(digit) for digit in text]


_LAST = {"seed": 2**63 - 1, "epoch": 2**31 - 1, "row_ids": 2**63 - 1}

ROWS = (
    KnownRow(
        "a budget",
        _row("0" + "1" * 30 + "0", num_tokens_to_mask=6, seed=0, row_ids=0),
        "00000110000000000000000200003340",
    ),
    KnownRow(
        "the largest seed, epoch and row id",
        _row("1" * 40, num_tokens_to_mask=9, **_LAST),
        "1110000000000000222000000033000000400000",
    ),
    KnownRow(
        "a ratio, with a cap",
        _row(
            "0" + "1" * 62 + "0", masking_ratio=0.15, max_predictions=7, seed=7, row_ids=2**40 + 1
        ),
        "0000000100002000000000333000000000000000400050000000000000000000",
    ),
    KnownRow(
        "words",
        _row(
            "0" + "1" * 22 + "0",
            num_tokens_to_mask=8,
            word_ids=[-1, *_digits("0112333445666677888899"), -1],
            seed=23,
            epoch=5,
            row_ids=99,
        ),
        "010000000002222000000330",
    ),
    KnownRow(
        "boundaries and segments",
        _row(
            "0110111101111110",
            num_tokens_to_mask=7,
            segment_ids=_digits("0000000001111111"),
            seed=11,
            row_ids=3,
        ),
        "0110000203400550",
    ),
    KnownRow(
        "weights",
        _row(
            "1" * 32,
            num_tokens_to_mask=12,
            max_n=4,
            ngram_weights=(0, 1, 0.5, 2),
            seed=5,
            row_ids=17,
        ),
        "11110000002000033300000000444400",
    ),
)

# mask_tokens on ids 100 .. 131: seed 3, row 8, half of them masked; 3 is [MASK], random ids are 50
# .. 59.
TOKENS_ANSWER: tuple[int, ...] = (
    100,
    101,
    102,
    103,
    104,
    105,
    106,
    3,
    108,
    109,
    110,
    3,
    112,
    113,
    114,
    53,
    3,
    117,
    59,
    119,
    3,
    53,
    122,
    123,
    3,
    3,
    126,
    3,
    55,
    51,
    130,
    3,
)


def check_backend(name: str) -> Iterator[str]:
    """Yield what a backend gets wrong; nothing if all is right.

    Parameters
    ----------
    name : str
        A backend that is available.

    """
    if name in _GENERATORS:
        module, function = _GENERATORS[name]
        generator = getattr(importlib.import_module(module), function)
        for counter, key, words in PHILOX_VECTORS:
            given = _call_generator(generator, name, counter, key)
            if given != words:
                yield f"philox4x32-10 of {counter}, {key} is {given}, must be {words}"
    with maskcore.use_backend(name):
        for row in ROWS:
            spans = "".join(str(span) for span in maskcore.mask_spans(**row.arguments).tolist())
            if spans != row.spans:
                yield f"{row.what}: {spans}, must be {row.spans}"
        tokens = tuple(_masked_tokens())
        if tokens != TOKENS_ANSWER:
            yield f"replaced tokens: {tokens}, must be {TOKENS_ANSWER}"


def check_codec(codec: Codec) -> Iterator[str]:
    """Yield what a codec of records gets wrong; nothing if all is right."""
    checksum = codec.crc32c(b"123456789")
    if checksum != CRC32C_OF_DIGITS:
        yield f"crc32c of 123456789: {checksum:08x}, must be {CRC32C_OF_DIGITS:08x}"
    message = np.frombuffer(b"abc", np.uint8)
    record = codec.frame(message, np.array([3], np.int64)).tobytes()
    if record != RECORD_OF_ABC:
        yield f"record of abc: {record.hex()}, must be {RECORD_OF_ABC.hex()}"


def _call_generator(
    generator: Any, name: str, counter: tuple[int, ...], key: tuple[int, ...]
) -> tuple[int, ...]:
    if name == "reference":
        words = generator(counter, key)
    elif name == "numba":
        words = generator(*map(np.uint64, counter + key))  # its steps take 64-bit words
    else:
        words = generator(*counter, *key)
    return tuple(map(int, words))


def _masked_tokens() -> list[int]:
    masked = maskcore.mask_tokens(
        list(range(100, 132)),
        [1] * 32,
        16,
        mask_id=3,
        random_ids=(range(50, 60),),
        replacement=(0.5, 0.25, 0.25),
        seed=3,
        row_ids=8,
    )
    ids: list[int] = masked.input_ids.tolist()
    return ids
