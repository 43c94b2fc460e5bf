# SPDX-License-Identifier: Apache-2.0
"""`tfshim.masked_dataset` on records and arguments that it cannot use: file, reason and way out in one line."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tf_dataset_support import folders

import tfshim
from maskcore.records import MaskConfig, RecordsError

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return folders(tmp_path_factory)


@pytest.fixture
def copied(made: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """Return what copies a folder, to be damaged."""

    def copy(form: str = "int64") -> Path:
        return Path(shutil.copytree(made(form), tmp_path / form))

    return copy


def change_manifest(folder: Path, **fields: Any) -> None:
    path = folder / "MANIFEST.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def first_file(folder: Path) -> Path:
    return min(folder.glob("*.tfrecord"))


def assert_refused(kind: type[Exception], text: str, *arguments: Any, **options: Any) -> None:
    with pytest.raises(kind, match=text) as raised:
        tfshim.masked_dataset(*arguments, **options)
    assert "\n" not in str(raised.value)


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    text = f"^{re.escape(str(tmp_path))}: no MANIFEST.json, .* run maskcore build"
    assert_refused(RecordsError, text, tmp_path, 16)
    assert_refused(RecordsError, "absent: no MANIFEST.json", tmp_path / "absent", 16)
    (tmp_path / "rows.tfrecord").touch()
    assert_refused(RecordsError, "no MANIFEST.json", tmp_path / "rows.tfrecord", 16)
    assert_refused(RecordsError, "no MANIFEST.json", [tmp_path / "rows.tfrecord"], 16)


def test_a_damaged_manifest(copied: Callable[..., Path]) -> None:
    folder = copied()
    (folder / "MANIFEST.json").write_text('{"format": "maskcore-records", "format_version"')
    assert_refused(RecordsError, r"MANIFEST\.json: damaged .*; build the records again", folder, 16)
    change = copied("sop")
    change_manifest(change, format_version=99)
    assert_refused(RecordsError, r"MANIFEST\.json: format version 99", change, 16)


def test_another_version_of_the_algorithm(copied: Callable[..., Path]) -> None:
    folder = copied()
    change_manifest(folder, algorithm_version=2)
    text = f"^{re.escape(str(folder))}: made for version 2 of the masking algorithm, .* build again"
    assert_refused(RecordsError, text, folder, 16)
    static = copied("bert")
    change_manifest(static, algorithm_version=2)
    tfshim.masked_dataset(static, 16)  # its rows are masked already


def test_parquet(made: Callable[[str], Path]) -> None:
    text = "its files are parquet; build with --format tfrecord, or read them with maskcore.records"
    assert_refused(RecordsError, text, made("parquet"), 16)


def test_rows_longer_than_the_model_takes(made: Callable[[str], Path]) -> None:
    text = "seq_length must be at least 64, .*, got 48; build with --seq-length 48"
    assert_refused(ValueError, text, made("int64"), 16, seq_length=48)
    text = (
        r"at least 128, the longest rows to be read of .*, got 64; "
        r"pass bins=\[32, 64\], or build with --seq-length 64"
    )
    assert_refused(ValueError, text, made("bins"), 16, seq_length=64)
    tfshim.masked_dataset(made("bins"), 16, seq_length=64, bins=[32, 64])
    tfshim.masked_dataset(made("int64"), 16, seq_length=512)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda path: path.write_bytes(b""), "0 bytes, the manifest says .*; copy it again"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "[0-9]+ bytes, the manifest says"),
        (lambda path: path.unlink(), "missing, the manifest lists it"),
        (
            lambda path: path.write_bytes(b"\xff" * path.stat().st_size),
            "record 0: damaged, or no TFRecord file; copy it again, or build",
        ),
    ],
    ids=["empty", "truncated", "missing", "other"],
)
def test_files_that_are_not_those_of_the_manifest(
    copied: Callable[..., Path], damage: Callable[[Path], Any], text: str
) -> None:
    folder = copied()
    path = first_file(folder)
    damage(path)
    assert_refused(RecordsError, f"^{re.escape(str(path))}: {text}", folder, 16)


def test_an_empty_file_that_the_manifest_takes_for_one(copied: Callable[..., Path]) -> None:
    """Sizes agree, records do not: told before a batch is made."""
    folder = copied()
    path = first_file(folder)
    path.write_bytes(b"")
    shards = json.loads((folder / "MANIFEST.json").read_text())["shards"]
    shards[0]["bytes"] = 0
    change_manifest(folder, shards=shards)
    assert_refused(RecordsError, f"^{re.escape(str(path))}: record 0: damaged", folder, 16)


@pytest.mark.parametrize(
    ("form", "other"),
    [("int64", "compact"), ("compact", "int64"), ("sop", "int64"), ("long", "compact")],
)
def test_records_of_another_kind_than_the_manifests(
    copied: Callable[..., Path], made: Callable[[str], Path], form: str, other: str
) -> None:
    """A layout, a length and features that are not those of the folder, in one of its files."""
    folder = copied(form)
    path = sorted(folder.glob("*.tfrecord"))[1]
    shutil.copy(first_file(made(other)), path)
    shards = json.loads((folder / "MANIFEST.json").read_text())["shards"]
    shards[1]["bytes"] = path.stat().st_size
    change_manifest(folder, shards=shards)
    text = (
        f"^{re.escape(str(path))}: its records hold other features than MANIFEST.json says of rows of "
        ".* tokens in layout .*; copy the folder as it was built, or build the records again"
    )
    assert_refused(RecordsError, text, folder, 16)


def test_features_that_this_maskcore_does_not_read(copied: Callable[..., Path]) -> None:
    folder = copied()
    features = json.loads((folder / "MANIFEST.json").read_text())["features"]
    del features["64"]["word_ids"]
    change_manifest(folder, features=features)
    text = r"MANIFEST\.json: features of rows of 64 are .*; use the maskcore that wrote it"
    assert_refused(RecordsError, text, folder, 16)


@pytest.mark.parametrize("options", [{}, {"cache": True}, {"num_shards": 2, "index": 0}], ids=str)
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_damaged_record_names_its_file(
    copied: Callable[..., Path], place: str, options: dict[str, Any]
) -> None:
    """One bit: neither the size nor, but for the first, what is looked at beforehand shows it."""
    folder = copied()
    path = first_file(folder)
    content = bytearray(path.read_bytes())
    at = {"first": 20, "middle": len(content) // 2, "last": len(content) - 9}[place]
    content[at] ^= 1
    path.write_bytes(content)
    if place == "first":  # in the name of a feature, so that the check of the first record finds it
        assert_refused(RecordsError, f"^{re.escape(str(path))}: its records hold", folder, 16)
        return
    dataset = tfshim.masked_dataset(folder, 16, **options)
    text = (
        f"{re.escape(str(path))}: damaged, not all of the .* records that MANIFEST.json states could be "
        "read .*`maskcore verify` on its folder names the record: copy the file again, or build"
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match=text):
        for _ in zip(range(dataset.steps_per_epoch + 1), dataset, strict=False):
            pass


def test_a_file_that_goes_while_it_is_read(copied: Callable[..., Path]) -> None:
    """An error that names it, and no endless try."""
    folder = copied()
    dataset = tfshim.masked_dataset(folder, 16)
    path = first_file(folder)
    path.unlink()
    with pytest.raises(tf.errors.NotFoundError, match=re.escape(str(path))):
        for _ in zip(range(dataset.steps_per_epoch + 1), dataset, strict=False):
            pass


def test_files(made: Callable[[str], Path], tmp_path: Path) -> None:
    folder = made("int64")
    path = first_file(folder)
    assert_refused(TypeError, "dir_or_files must be a folder of records, or a list", 7, 16)
    assert_refused(ValueError, "dir_or_files must be .*, got no file", [], 16)
    other = first_file(made("sop"))
    assert_refused(ValueError, "files of several folders have several", [path, other], 16)
    assert_refused(ValueError, "dir_or_files must be each file once", [path, path], 16)
    stray = folder / "stray.tfrecord"
    text = f"^{re.escape(str(stray))}: not in MANIFEST.json of its folder; pass files that it lists"
    assert_refused(RecordsError, text, [path, stray], 16)


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"batch_size": 0}, ValueError, r"batch_size must be in \[1, 2\*\*31\), got 0"),
        ({"batch_size": 2.5}, TypeError, "batch_size must be an integer"),
        ({"batch_size": {32: 8}}, ValueError, "batch_size must be a mapping of 64, got {32: 8}"),
        ({"bins": 32}, ValueError, "bins must be among 64, the row lengths of .*, got 32"),
        ({"bins": []}, ValueError, r"bins must be among 64, .*, got \[\]"),
        ({"output": "ids"}, ValueError, "output must be labels or positions, got 'ids'"),
        ({"initial_epoch": -1}, ValueError, r"initial_epoch must be in \[0, 2\*\*31\), got -1"),
        ({"initial_epoch": 2**31}, ValueError, "initial_epoch must be in"),
        ({"shuffle_buffer_size": -1}, ValueError, "shuffle_buffer_size must be in .*, got -1"),
        ({"shuffle_seed": -1}, ValueError, r"shuffle_seed must be in \[0, 2\*\*63\), got -1"),
        ({"num_parallel_calls": 0}, ValueError, "num_parallel_calls must be in .*, got 0"),
        ({"num_shards": 0}, ValueError, "num_shards must be in .*, got 0"),
        ({"num_shards": 2, "index": 2}, ValueError, r"index must be in \[0, 2\), got 2"),
        ({"num_shards": 10**6}, ValueError, "num_shards must be at most [0-9]+, the rows of 64"),
        ({"cache": 7}, TypeError, "cache must be a bool or a path, got 7"),
        ({"mask": {"ratio": 0.2}}, ValueError, "mask must be a mapping of mask_unit, .*'ratio'"),
        ({"mask": 0.2}, TypeError, "mask must be a MaskConfig or a mapping"),
        ({"mask": {"masking_ratio": 1.5}}, ValueError, "masking_ratio must be in"),
        ({"replacement": (0.8, 0.1, 0.2)}, ValueError, "replacement must be shares with sum 1"),
        ({"implementation": "fast"}, ValueError, "implementation must be one of"),
        ({"batch_size": 10**6, "drop_remainder": True}, ValueError, "batch_size must be at most"),
    ],
    ids=str,
)
def test_arguments(
    made: Callable[[str], Path], options: dict[str, Any], kind: type[Exception], text: str
) -> None:
    assert_refused(kind, text, made("int64"), **({"batch_size": 16} | options))


def test_what_rows_of_schema_bert_cannot_give(made: Callable[[str], Path]) -> None:
    folder = made("bert")
    for options, text in (
        ({"mask": MaskConfig(seed=1)}, "mask must be None for rows of schema 'bert'"),
        ({"output": "labels"}, "output must be positions for .*, of schema 'bert', got labels"),
        ({"with_row_ids": True}, "rows of schema 'bert' have no ids; leave out with_row_ids"),
    ):
        assert_refused(ValueError, text, folder, 16, **options)
