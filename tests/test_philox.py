# SPDX-License-Identifier: Apache-2.0
"""The generator of every backend against Random123's published vectors, and against TensorFlow's.

Owns Philox and the addressing of draws; masks are tested elsewhere.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import backends_under_test, known_answers

from maskcore._reference import philox as reference

Block = tuple[int, ...]


def _reference_block(counter: list[int], key: list[int]) -> Block:
    c0, c1, c2, c3 = counter
    return reference.philox4x32_10((c0, c1, c2, c3), (key[0], key[1]))


def _numba_block(counter: list[int], key: list[int]) -> Block:
    kernels = importlib.import_module("maskcore._numba.kernels")
    words = kernels.philox4x32_10(*map(np.uint64, [*counter, *key]))
    assert kernels.philox4x32_10.signatures, "it ran as Python"
    return tuple(map(int, words))


def _native_block(counter: list[int], key: list[int]) -> Block:
    core = importlib.import_module("maskcore._core")
    return tuple(core.philox4x32_10(*counter, *key))


BLOCKS: dict[str, Callable[[list[int], list[int]], Block]] = {
    "reference": _reference_block,
    "numba": _numba_block,
    "native": _native_block,
}
NAMES = sorted({backend.name for backend in backends_under_test()})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("entry", known_answers("philox4x32_10.json"), ids=["zeros", "ones", "pi"])
def test_published_vectors(name: str, entry: dict[str, list[str]]) -> None:
    counter, key, words = (
        [int(word, 16) for word in entry[k]] for k in ("counter", "key", "words")
    )
    assert BLOCKS[name](counter, key) == tuple(words)


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_the_reference_on_other_counters(name: str) -> None:
    """Every word of counter and key has an effect of its own, up to its last bit."""
    for bit in range(6 * 32):
        words = [0x01234567, 0x89ABCDEF, 0xDEADBEEF, 0xCAFEF00D, 0x55555555, 0xAAAAAAAA]
        words[bit // 32] ^= 1 << bit % 32
        assert BLOCKS[name](words[:4], words[4:]) == _reference_block(words[:4], words[4:])


def test_draws_are_addressed_as_the_document_says() -> None:
    """Section 2, from the pi vector: its counter is that of one draw of a row."""
    address = reference.Address(
        seed=0x299F31D0_A4093822, epoch=0x03707344, row_id=0x13198A2E_85A308D3
    )
    purpose, index = 0x24, 0x3F6A88
    published = (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)
    assert reference.block(address, purpose, index) == published
    assert [reference.word(address, purpose, 4 * index + i) for i in range(4)] == [*published]
    assert [reference.halfword(address, purpose, 8 * index + i) for i in range(4)] == [
        0xFE09,
        0xD16C,
        0xCCEB,
        0x94FD,
    ]
    assert reference.mulhi(0xD16CFE09, 1000) == 818  # 0xD16CFE09 / 2**32 = 0.81806


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised by TensorFlow's own imports
def test_tensorflow_draws_the_same_words() -> None:
    """A second implementation by other hands: the blocks from a counter on."""
    tf: Any = importlib.import_module("tensorflow")
    counter, key = [0xFFFFFFFE, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0]
    drawn = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[12],
        key=tf.constant([key[1] << 32 | key[0]], tf.uint64),
        counter=tf.constant(
            [counter[1] << 32 | counter[0], counter[3] << 32 | counter[2]], tf.uint64
        ),
        alg=1,
        dtype=tf.uint32,
    )
    words = [int(word) for word in drawn.numpy()]
    assert words[:4] == list(_reference_block(counter, key))
    assert words[4:8] == list(_reference_block([0xFFFFFFFF, *counter[1:]], key))
    # TensorFlow's counter carries into the next word; ours never leaves its 24 bits.
    assert words[8:] == list(_reference_block([0, counter[1] + 1, *counter[2:]], key))
