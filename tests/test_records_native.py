# SPDX-License-Identifier: Apache-2.0
"""The native codec against the numpy one, its checksum against RFC 3720, and the choice of a codec."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records_helpers import random_columns

from maskcore.records import _native
from maskcore.records.encoding import _codec_native, _codec_numpy
from maskcore.records.encoding._codec import codec_name
from maskcore.records.encoding.example import DTYPES, ExampleLayout, Feature

# RFC 3720, B.4, whose bytes are the checksum's, lowest first; and the check value of the Rocksoft
# catalogue.
ISCSI_READ = bytes.fromhex(
    "01c00000000000000000000000000000140000000000040000000014000000182800000000000000"
    "0200000000000000"
)
PUBLISHED = [
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
    (ISCSI_READ, 0xD9963A56),
    (b"123456789", 0xE3069283),
    (b"", 0),
]
# Up to 64 bytes the bit by bit; then around what the streams take: 3 * 64, 3 * 1024, and powers.
SHORT = range(65)
LONG = [
    n + d for n in (128, 192, 256, 384, 1024, 2048, 3072, 4096, 6144, 65536) for d in (-1, 0, 1)
]


def levels():
    found = []
    while (name := _native.crc32c_level(len(found))) is not None:
        found.append(name)
    return found


def crc32c_bit_by_bit(content):
    """RFC 3720, 12.1, with the lowest power first."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_levels_are_those_of_the_machine():
    flags = Path("/proc/cpuinfo").read_text()
    expected = ["table"]
    if platform.machine() == "x86_64" and " sse4_2 " in flags:
        expected.insert(0, "sse4.2")
    if platform.machine() == "aarch64" and "crc32" in flags:
        expected.insert(0, "armv8")
    assert levels() == expected


@pytest.mark.parametrize("level", [None, *levels()])
def test_published_checksums(level):
    for content, expected in PUBLISHED:
        assert _native.crc32c(content, level and level.encode()) == expected
        assert _codec_numpy.crc32c(content) == crc32c_bit_by_bit(content) == expected


@pytest.mark.parametrize("level", levels())
def test_checksums_of_every_length_and_alignment(level):
    rng = np.random.default_rng(11)
    content = rng.integers(0, 256, max(LONG) + 16, dtype=np.uint8)
    for size in [*SHORT, *LONG]:
        starts = range(8) if size <= 64 else (0, 1, 7)
        for start in starts:
            part = content[start : start + size]
            expected = (
                crc32c_bit_by_bit(part.tolist())
                if size <= 64
                else google_crc32c.value(part.tobytes())
            )
            assert _native.crc32c(part, level.encode()) == expected, (size, start)


def test_an_unknown_level_is_refused():
    with pytest.raises(
        ValueError, match="level must be one that this machine can run, got b'sse9'"
    ):
        _native.crc32c(b"", b"sse9")


# Lengths whose lists, values and entries take one and two bytes to measure, and their neighbours.
LENGTHS = st.one_of(st.integers(1, 20), st.sampled_from([31, 32, 33, 115, 119, 127, 128, 129, 300]))
FEATURES = st.builds(Feature, st.sampled_from(sorted(DTYPES)), LENGTHS)
NAMES = st.one_of(
    st.text("abz_", min_size=1, max_size=4), st.sampled_from(["n" * 117, "n" * 127, "n" * 128])
)
LAYOUTS = st.builds(ExampleLayout, st.dictionaries(NAMES, FEATURES, min_size=1, max_size=6))


def blank_columns(layout, num_rows):
    return {
        name: np.zeros((num_rows, length), DTYPES[kind])
        for name, (kind, length) in layout.features.items()
    }


@settings(deadline=None, max_examples=150)
@given(LAYOUTS, st.integers(0, 9), st.integers(0, 2**32), st.booleans(), st.sampled_from("bhilq"))
def test_both_codecs_make_and_read_the_same_bytes(layout, num_rows, seed, is_framed, dtype):
    columns = random_columns(np.random.default_rng(seed), layout, num_rows)
    for name, column in columns.items():
        if column.dtype == np.int64:
            columns[name] = (column & np.iinfo(dtype).max).astype(dtype)
    arguments = (layout.features, columns, num_rows, is_framed)
    content, stops, _ = _codec_native.encode(*arguments)
    expected, expected_stops, _ = _codec_numpy.encode(*arguments)
    np.testing.assert_array_equal(content, expected, strict=True)
    np.testing.assert_array_equal(stops, expected_stops, strict=True)
    for codec in (_codec_native, _codec_numpy):
        decoded = blank_columns(layout, num_rows)
        assert codec.decode(layout.features, decoded, content, stops, is_framed) is None
        for name, column in columns.items():
            np.testing.assert_array_equal(decoded[name], column)


def read_by_both(layout, content, stops):
    """Read messages with both codecs; return the row that both find to be wrong, and the columns."""
    natively, plainly = blank_columns(layout, len(stops)), blank_columns(layout, len(stops))
    bad_row = _codec_native.decode(layout.features, natively, content, stops, False)
    assert _codec_numpy.decode(layout.features, plainly, content, stops, False) == bad_row
    if bad_row is None:
        for name, column in natively.items():
            np.testing.assert_array_equal(column, plainly[name])
    return bad_row, natively


def test_both_codecs_agree_on_any_changed_byte():
    """Messages of all kinds with another byte in one place are refused by both or by none."""
    layout = ExampleLayout({"a": 3, "b": Feature("bytes", 2), "f": Feature("float", 1)})
    columns = {
        "a": np.array([[1, 300, 2**63 - 1], [5, 6, 7]]),
        "b": np.array([[200, 1], [2, 3]], np.uint8),
        "f": np.ones((2, 1), np.float32),
    }
    content, stops, _ = _codec_native.encode(layout.features, columns, 2, False)
    num_refused = 0
    for place in range(len(content)):
        for change in (*(1 << bit for bit in range(8)), 0x7F, 0xFF):
            changed = content.copy()
            changed[place] ^= change
            bad_row, _ = read_by_both(layout, changed, stops)
            assert bad_row in (None, int(place >= stops[0])), (place, change)
            num_refused += bad_row is not None
    assert len(content) * 5 < num_refused < len(content) * 10  # not all, and not none


def test_both_codecs_take_long_forms_of_numbers_and_refuse_ten_bytes():
    """A varint may be longer than it must be; with ten bytes it would be negative."""
    layout = ExampleLayout({"a": 2})

    def message(numbers):
        value = bytes([0x1A, len(numbers) + 2, 0x0A, len(numbers)]) + numbers
        entry = b"\x0a\x01a\x12" + bytes([len(value)]) + value
        return b"\x0a" + bytes([len(entry) + 2]) + b"\x0a" + bytes([len(entry)]) + entry

    for numbers, expected in [
        (b"\x01\x02", [1, 2]),
        (b"\x81\x00\x02", [1, 2]),
        (b"\x02\x81" + b"\x80" * 6 + b"\x00", [2, 1]),
        (b"\x81" + b"\x80" * 7 + b"\x00\x02", [1, 2]),
        (b"\xff" * 8 + b"\x7f\x02", [2**63 - 1, 2]),
        (b"\x02" + b"\xff" * 8 + b"\x7f", [2, 2**63 - 1]),
        (b"\x81" + b"\x80" * 8 + b"\x00\x02", None),
        (b"\x02" + b"\xff" * 9 + b"\x01", None),
        (b"\x02\x81", None),
        (b"\x81\x82", None),
        (b"\x02", None),
        (b"\x02\x03\x04", None),
        (b"", None),
    ]:
        content = np.frombuffer(message(numbers) + message(b"\x01\x02"), np.uint8)
        stops = np.array([len(message(numbers)), len(content)])
        bad_row, columns = read_by_both(layout, content, stops)
        if expected is None:
            assert bad_row == 0, numbers
        else:
            assert (bad_row, columns["a"].tolist()) == (None, [expected, [1, 2]]), numbers


@pytest.mark.parametrize("level", [None, "message", "features", "entry", "value", "list"])
def test_both_codecs_refuse_what_is_behind_the_expected(level):
    """Such as a second list, or a field of a later version, at any level."""
    layout = ExampleLayout({"a": Feature("bytes", 1)})
    content = b"\x0a\x01x"
    for name, tag in [("list", 0x0A), ("value", 0x12), ("entry", 0x0A), ("features", 0x0A)]:
        content += b"\x0a\x00" * (level == name)
        key = b"\x0a\x01a" * (name == "value")
        content = key + bytes([tag, len(content)]) + content
    content += b"\x0a\x00" * (level == "message")
    found, columns = read_by_both(
        layout, np.frombuffer(content, np.uint8), np.array([len(content)])
    )
    assert found == (None if level is None else 0)
    if level is None:
        assert columns["a"].tolist() == [[ord("x")]]


def test_both_codecs_find_the_first_negative_value():
    features = ExampleLayout({"a": 200, "b": 1}).features
    for dtype in (np.int8, np.int16, np.int32, np.int64):
        columns = {"a": np.ones((3, 200), dtype), "b": np.ones((3, 1), dtype)}
        columns["b"][1, 0] = columns["a"][2, 199] = columns["b"][2, 0] = np.iinfo(dtype).min
        for codec in (_codec_native, _codec_numpy):
            assert codec.encode(features, columns, 3, True)[2] == (1, "b")
            columns["a"][1, 100] = -1
            assert codec.encode(features, columns, 3, True)[2] == (1, "a")
            columns["a"][1, 100] = 1


def test_both_codecs_check_the_same():
    layout = ExampleLayout({"a": 30})
    columns = random_columns(np.random.default_rng(12), layout, 20)
    content, stops, _ = _codec_native.encode(layout.features, columns, 20, True)
    for most in (0, 1, 19, 20, 21, 1000):
        for end in (0, 5, 12, int(stops[0]) - 1, int(stops[3]), int(stops[3]) + 13, len(content)):
            theirs = _codec_numpy.check(content[:end], most)
            ours = _codec_native.check(content[:end], most)
            np.testing.assert_array_equal(ours.stops, theirs.stops, strict=True)
            np.testing.assert_array_equal(ours.stops, stops[: min(most, (stops <= end).sum())])
            assert ours.damage == theirs.damage == ""


def test_a_damaged_length_behind_the_last_whole_record_is_found():
    """Of frames without content there can be one for each 16 bytes, and the cut one besides."""
    empty = _codec_numpy.frame(np.empty(0, np.uint8), np.array([0, 0]))
    content = np.concatenate([empty, empty[:12]])
    content[-1] ^= 1
    for codec in (_codec_native, _codec_numpy):
        check = codec.check(content, 100)
        assert (check.stops.tolist(), check.damage) == ([16, 32], "length")


def run(code, **environment):
    inherited = {name: value for name, value in os.environ.items() if name != "MASKCORE_RECORDS"}
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=inherited | environment,
    )


NAME = "from maskcore.records.encoding._codec import codec_name; print(codec_name())"
WITHOUT_NATIVE = "import sys; sys.modules['maskcore.records._native'] = None; " + NAME
WITHOUT_ANY = "import sys; sys.modules['google_crc32c'] = None; " + WITHOUT_NATIVE


def test_the_native_codec_is_the_default():
    assert codec_name() == "native"
    result = run(NAME)
    assert (result.stdout, result.stderr) == ("native\n", "")


def test_a_codec_is_forced_by_the_environment():
    for name in ("native", "numpy"):
        result = run(NAME, MASKCORE_RECORDS=name)
        assert (result.stdout, result.stderr) == (f"{name}\n", "")


def test_where_the_native_codec_is_missing_the_reason_is_told():
    result = run(WITHOUT_NATIVE)
    assert result.stdout == "numpy\n"
    assert (
        "RuntimeWarning: maskcore makes records with its slower 'numpy' codec. 'native' is missing "
        "(ModuleNotFoundError: import of maskcore.records._native halted" in result.stderr
    )


@pytest.mark.parametrize(
    ("code", "environment", "text"),
    [
        (WITHOUT_NATIVE, {"MASKCORE_RECORDS": "native"},
         "BackendUnavailableError: MASKCORE_RECORDS asks for a codec that cannot run: 'native' is missing"),
        (WITHOUT_ANY, {}, "pip install 'maskcore[build]'"),
        (NAME, {"MASKCORE_RECORDS": "fast"},
         "ValueError: MASKCORE_RECORDS must be one of native, numpy, got 'fast'; spell it so"),
    ],
    ids=["native", "none", "unknown"],
)  # fmt: skip
def test_a_choice_that_cannot_be_met_is_an_error(code, environment, text):
    result = run(code, **environment)
    assert result.returncode == 1
    assert text in result.stderr
