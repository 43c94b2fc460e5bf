# SPDX-License-Identifier: Apache-2.0
"""The parts of the engine: plans, reading tasks, spill files, order, and the estimate."""

import hashlib
import json
import struct
import sys
from itertools import pairwise
from pydoc_data.topics import topics

import numpy as np
import pytest
from records_helpers import hashes

from maskcore import records
from maskcore.records import MaskConfig, RecordsError
from maskcore.records.engine import spill
from maskcore.records.engine.folder import BuildFolder, part_name
from maskcore.records.engine.plan import SMALL_SLICE_BYTES as SLICE_BYTES
from maskcore.records.engine.plan import BuildOptions, Plan, make_plan
from maskcore.records.engine.spill import SpillReader, SpillWriter
from maskcore.records.reading.documents import Document
from maskcore.records.reading.inputs import InputFile
from maskcore.records.rows.row_identity import document_key, user_document_key
from maskcore.records.rows.row_order import row_order
from maskcore.records.tokenising.tokenise import train_wordpiece

MIB = 1 << 20


def plan_of(*sizes, num_shards=None, **options):
    files = [InputFile(f"{i}.txt", f"/c/{i}.txt", size) for i, size in enumerate(sizes)]
    return make_plan(
        files, BuildOptions(**options), tokenizer_sha256="0" * 64, num_shards=num_shards
    )


# --- plans ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text_bytes", "num_shards", "buckets_per_shard"),
    [
        (0, 1, 1),
        (1, 1, 1),
        (MIB, 1, 1),
        (MIB + 1, 2, 1),
        (7 * MIB, 7, 1),
        (7 * MIB + 1, 8, 1),
        (96 * MIB, 8, 1),  # 12 MiB a shard: one bucket
        (96 * MIB + 1, 8, 2),
        (128 * MIB, 8, 2),
        (128 * MIB + 1, 9, 2),
        (512 * MIB, 32, 2),
        (512 * MIB + 1, 32, 2),
        (2048 * MIB, 32, 6),
        (2048 * MIB + 1, 33, 6),
        (1 << 40, 16384, 6),
    ],
)
def test_shards_and_buckets_follow_from_the_text(text_bytes, num_shards, buckets_per_shard):
    made = plan_of(text_bytes)
    assert (made.num_shards, made.buckets_per_shard) == (num_shards, buckets_per_shard)
    assert made.num_buckets == num_shards * buckets_per_shard
    assert [bucket for shard in range(num_shards) for bucket in made.buckets_of(shard)] == list(
        range(made.num_buckets)
    )


def test_a_plan_survives_json_and_has_one_hash():
    made = plan_of(
        3, 4, bins=(64, 128), pairs="sop", mask=MaskConfig(seed=2**62, ngram_weights=(1, 2, 0.1)),
        dupe_factor=3, id_field="id", num_shards=7,
    )  # fmt: skip
    again = Plan.from_json(json.loads(json.dumps(made.to_json())))
    assert again == made
    assert again.sha256 == made.sha256
    canonical = json.dumps(made.to_json(), sort_keys=True, separators=(",", ":"))
    assert made.sha256 == hashlib.sha256(canonical.encode()).hexdigest()
    assert made.differences(again) == []


def test_a_plan_is_completed():
    options = BuildOptions(bins=(64, 256), pairs="nsp")
    assert options.seq_length == 256
    assert options.short_seq_prob == 0.1
    assert options.mask.max_predictions == 38  # 0.15 of 253
    assert BuildOptions().short_seq_prob == 0
    assert BuildOptions().bins == (128,)
    assert BuildOptions().mask.max_predictions == 19


def test_files_are_read_in_slices_and_small_ones_together():
    made = plan_of(10, SLICE_BYTES - 10, 1, 2 * SLICE_BYTES + 5, 0, SLICE_BYTES)
    assert made.slice_bytes == SLICE_BYTES == 4 * MIB
    assert plan_of(256 * MIB).slice_bytes == 4 * MIB
    assert plan_of(256 * MIB, 1).slice_bytes == 32 * MIB
    tasks = list(made.read_tasks())
    assert [(task.number, task.bytes) for task in tasks] == [
        (0, SLICE_BYTES), (1, 1), (2, SLICE_BYTES), (3, SLICE_BYTES), (4, 5), (5, SLICE_BYTES),
    ]  # fmt: skip
    assert [[tuple(part) for part in task.slices] for task in tasks] == [
        [(0, 0, None), (1, 0, None)],
        [(2, 0, None)],
        [(3, 0, SLICE_BYTES)],
        [(3, SLICE_BYTES, 2 * SLICE_BYTES)],
        [(3, 2 * SLICE_BYTES, None), (4, 0, None)],
        [(5, 0, None)],
    ]


@pytest.mark.parametrize(("format", "compression"), [("plain", "gzip"), ("jsonl", None)])
def test_other_files_are_read_whole(format, compression):
    file = InputFile("a", "/c/a", 3 * SLICE_BYTES, format, compression)
    made = make_plan([file], BuildOptions(), tokenizer_sha256=None)
    assert [task.slices for task in made.read_tasks()] == [((0, 0, None),)]


def test_names_of_parts():
    assert part_name(17, 1024, None, "tfrecord") == "part-00017-of-01024.tfrecord"
    assert part_name(17, 1024, 128, "tfrecord") == "part-00017-of-01024-L128.tfrecord"
    assert part_name(0, 99999, 64, "parquet") == "part-00000-of-99999-L64.parquet"


# --- order ------------------------------------------------------------------------------------------


def plain_row_order(row_ids, seed):
    """The rule of docs/records.md, number by number."""
    digest = hashlib.blake2b(
        b"", digest_size=16, key=seed.to_bytes(8, "little"), person=b"maskcore-order"
    ).digest()
    a, b = (int.from_bytes(digest[at : at + 8], "little") | 1 for at in (0, 8))

    def mixed(row_id):
        product = row_id * a % 2**64
        return (product ^ product >> 32) * b % 2**64

    return sorted(range(len(row_ids)), key=lambda row: mixed(row_ids[row]))


@pytest.mark.parametrize("num_rows", [0, 1, 2, 3, 255, 256, 257])
@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_rows_are_in_the_order_of_a_keyed_mix(num_rows, seed):
    row_ids = np.random.default_rng(num_rows).integers(0, 2**63, num_rows, dtype=np.int64)
    assert row_order(row_ids, seed).tolist() == plain_row_order(row_ids.tolist(), seed)


def test_seeds_order_rows_otherwise():
    """Neither the same nor reversed: ranks under two seeds are not correlated."""
    row_ids = np.random.default_rng(0).integers(0, 2**63, 10_000, dtype=np.int64)
    ranks = [np.argsort(row_order(row_ids, seed)) for seed in (0, 1, 2)]
    for a, b in ((0, 1), (1, 2), (0, 2)):
        assert abs(np.corrcoef(ranks[a], ranks[b])[0, 1]) < 0.05  # five standard deviations
    assert abs(np.corrcoef(ranks[0], np.argsort(np.argsort(row_ids)))[0, 1]) < 0.05


# --- spill ------------------------------------------------------------------------------------------


def place_of(key, seed):
    digest = hashlib.blake2b(
        key, digest_size=8, key=struct.pack("<Q", seed), person=b"maskcore-bucket"
    ).digest()
    return int.from_bytes(digest, "little")


def documents_of(num_documents):
    for number in range(num_documents):
        sentences = [f"Satz {number}, \u00e9\uac00", "x" * (number % 50 + 1), "a\rb\u2028c"]
        yield Document(document_key("0.txt", number), "0.txt", number, sentences)


def spilled(folder, documents, made, num_tasks=3):
    folder.spill.mkdir(parents=True)
    writers = [
        SpillWriter(folder.spill, task, made.num_buckets, made.seed) for task in range(num_tasks)
    ]
    for number, document in enumerate(documents):
        writers[number % num_tasks].add(document, 0)
    for writer in writers:
        writer.flush()
    return [run for writer in writers for run in writer.runs]


@pytest.mark.parametrize("max_bucket_bytes", [1 << 30, 20_000, 300])
@pytest.mark.parametrize("run_bytes", [1 << 30, 2_000])
@pytest.mark.parametrize("num_documents", [0, 1, 2, 700])
def test_buckets_come_back_in_the_order_of_hashes(
    tmp_path, monkeypatch, max_bucket_bytes, run_bytes, num_documents
):
    monkeypatch.setattr(spill, "MAX_BUCKET_BYTES", max_bucket_bytes)
    monkeypatch.setattr(spill, "RUN_BYTES", run_bytes)
    made = plan_of(96 * MIB + 1, num_shards=2, mask=MaskConfig(seed=9))
    assert made.num_buckets == 10
    documents = list(documents_of(num_documents))
    folder = BuildFolder(tmp_path)
    runs = spilled(folder, documents, made)
    assert sum(run.documents for run in runs) == num_documents
    found = []
    for unit in range(2):
        parts = list(SpillReader(made, runs, folder, made.buckets_of(unit)).parts())
        assert len(parts) >= 5
        for part in parts:
            places = [place_of(document.key, 9) for document in part.documents]
            assert places == sorted(places)
            assert len({place % 10 for place in places}) <= 1
            assert all(place % 10 // 5 == unit for place in places)
            texts = ["\n".join(document.sentences) for document in part.documents]
            assert part.text_bytes == [len(text.encode()) for text in texts]
            found += part.documents
    assert sorted(found) == sorted(document._replace(name="") for document in documents)


def test_a_large_bucket_is_divided_the_same_way_however_it_was_read(tmp_path, monkeypatch):
    monkeypatch.setattr(spill, "MAX_BUCKET_BYTES", 5_000)
    made = plan_of(1)
    documents = list(documents_of(300))
    parts = []
    for name, run_bytes, num_tasks in (("a", 1 << 30, 1), ("b", 1_000, 4)):
        monkeypatch.setattr(spill, "RUN_BYTES", run_bytes)
        folder = BuildFolder(tmp_path / name)
        runs = spilled(folder, documents, made, num_tasks)
        parts.append(list(SpillReader(made, runs, folder, made.buckets_of(0)).parts()))
    assert parts[0] == parts[1]
    assert len(parts[0]) > 3


def test_a_run_that_something_cut_is_named(tmp_path):
    made = plan_of(1)
    folder = BuildFolder(tmp_path)
    runs = spilled(folder, documents_of(3), made, 1)
    path = folder.spill / runs[0].file
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        RecordsError, match=r"000000-0000\.run: ends after \d+ bytes; something else"
    ):
        SpillReader(made, runs, folder, range(1))


def test_ids_that_occur_twice_are_named(tmp_path):
    lines = [json.dumps({"id": f"Q{n % 40}", "text": f"Number {n}."}) for n in range(41)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines[:20]))
    (tmp_path / "b.jsonl").write_text("\n".join(lines[20:]))
    offset = len("\n".join(lines[20:40])) + 1
    problem = rf"a\.jsonl at 0 and b\.jsonl at {offset}: two documents have the id 'Q0'; make the ids unique"
    inputs = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for workers in (1, 2):
        with pytest.raises(RecordsError, match=problem):
            records.build(
                inputs, tmp_path / "r", id_field="id", vocab_size=100, workers=workers, num_shards=4
            )
        assert not (tmp_path / "r").exists()
    manifest = records.build(inputs, tmp_path / "r", vocab_size=100, seq_length=16)
    assert manifest.counts["documents"] == 41


def test_equal_documents_of_one_id_space_stay_apart():
    assert user_document_key("a") != document_key("a", 0)


# --- the whole --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prose(tmp_path_factory):
    """Some of the documentation in three files."""
    folder = tmp_path_factory.mktemp("prose")
    names = sorted(topics)
    for number in range(3):
        (folder / f"{number}.txt").write_text("\n\n".join(topics[n] for n in names[number::9]))
    return folder


@pytest.fixture(scope="module")
def tokenizer(prose, tmp_path_factory):
    """A tokenizer.json trained on it."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_bytes(train_wordpiece([(prose / "0.txt").read_text().split("\n")], 800).content)
    return path


@pytest.mark.parametrize(
    "options",
    [
        {"pairs": "sop", "bins": (32, 64)},
        {"pairs": "nsp", "dupe_factor": 2, "seq_length": 48},
        {"pack": True, "seq_length": 96, "layout": "compact"},
        {"schema": "bert", "pairs": "nsp", "dupe_factor": 3, "seq_length": 64},
        {"file_format": "parquet", "mask_epochs": 2, "bins": (16, 40)},
        {"sentence_splitting": "en", "short_seq_prob": 0.5},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_the_same_bytes_for_any_workers_slices_and_buckets_read(
    prose, tokenizer, tmp_path, monkeypatch, options
):
    arguments = {"tokenizer": tokenizer, "num_shards": 3, "verify": True, **options}
    manifest = records.build(prose, tmp_path / "two", workers=2, **arguments)
    monkeypatch.setattr(spill, "RUN_BYTES", 20_000)
    records.build(sorted(prose.iterdir()), tmp_path / "one", workers=1, **arguments)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")
    counts = manifest.counts
    assert counts["tokens_read"] == (
        counts["tokens_written"] + counts["tokens_truncated"] + counts["tokens_skipped"]
    )
    assert counts["tokens_read"] > 10_000 * options.get("dupe_factor", 1)
    assert manifest.num_rows == counts["rows"] == sum(counts["rows_per_bin"].values())
    assert [shard.file for shard in manifest.shards] == sorted(
        shard.file for shard in manifest.shards
    )
    assert len(manifest.shards) == 3 * len(options.get("bins", (1,)))


def test_slices_of_one_file_give_what_the_whole_gives(prose, tokenizer, tmp_path, monkeypatch):
    """The documents and their keys are the same, and so are the shards."""
    whole = records.build(prose, tmp_path / "whole", tokenizer=tokenizer, workers=1)
    monkeypatch.setattr(sys.modules[Plan.__module__], "SMALL_SLICE_BYTES", 3_000)
    cut = records.build(prose, tmp_path / "cut", tokenizer=tokenizer, workers=1)
    assert cut.shards == whole.shards
    assert cut.counts == whole.counts
    # A file that is cut has the hash of the hashes of its slices.
    for entry in cut.inputs:
        content = (prose / entry.name).read_bytes()
        digests = [
            hashlib.sha256(content[at : at + 3_000]).digest()
            for at in range(0, len(content), 3_000)
        ]
        assert entry.sha256 == hashlib.sha256(b"".join(digests)).hexdigest()
    for entry in whole.inputs:
        assert entry.sha256 == hashlib.sha256((prose / entry.name).read_bytes()).hexdigest()


def test_progress_reaches_what_the_manifest_says(prose, tokenizer, tmp_path):
    seen = []
    manifest = records.build(
        prose, tmp_path / "r", tokenizer=tokenizer, dupe_factor=2, num_shards=4, workers=2,
        verify=True, on_progress=seen.append,
    )  # fmt: skip
    stages = list(dict.fromkeys(progress.stage for progress in seen))
    assert stages == ["read", "build", "verify"]
    last = {progress.stage: progress for progress in seen}
    counts = manifest.counts
    assert (
        last["read"].bytes_done == last["read"].bytes_total == sum(e.bytes for e in manifest.inputs)
    )
    assert last["read"].documents == counts["documents"]
    assert last["build"].bytes_done == last["build"].bytes_total
    assert last["build"].documents == counts["documents"]
    assert last["build"].tokens == counts["tokens_read"]
    assert last["build"].rows == counts["rows"]
    assert last["build"].units_done == last["build"].units_total == 4
    assert set(last["build"].seconds) == {"reading", "tokenising", "rows", "masks", "writing"}
    assert all(seconds > 0 for seconds in last["build"].seconds.values())
    for before, after in pairwise(seen):
        assert after.stage != before.stage or after.bytes_done >= before.bytes_done


def test_a_dry_run_says_what_a_build_makes(prose, tokenizer, tmp_path):
    """Exact where the sample is the corpus; nothing is written."""
    options = {"tokenizer": tokenizer, "pairs": "sop", "bins": (32, 64), "num_shards": 2}
    before = sorted(tmp_path.rglob("*"))
    found = records.plan(prose, **options)
    assert sorted(tmp_path.rglob("*")) == before
    manifest = records.build(prose, tmp_path / "r", **options)
    assert found.num_units == 2
    assert found.num_files == 4
    assert found.documents == manifest.counts["documents"]
    assert found.tokens == manifest.counts["tokens_read"]
    assert found.rows == manifest.num_rows
    assert found.rows_per_bin == {int(n): r for n, r in manifest.counts["rows_per_bin"].items()}
    written = sum(shard.bytes for shard in manifest.shards)
    assert abs(found.record_bytes - written) < written // 100
    assert found.plan.sha256 == manifest.plan_sha256


def test_a_dry_run_scales_a_sample(tmp_path):
    text = "\n\n".join(topics[name] for name in sorted(topics))
    for number in range(20):
        (tmp_path / f"{number:02d}.txt").write_text(text)
    found = records.plan(tmp_path, vocab_size=500, seq_length=64)
    assert found.input_bytes == 20 * len(text.encode())
    assert abs(found.text_bytes / found.input_bytes - 0.97) < 0.05
    assert found.num_units == plan_of(found.input_bytes).num_shards == 8
    with pytest.raises(ValueError, match="seq_length must be"):
        records.plan(tmp_path, seq_length=1)
    with pytest.raises(RecordsError, match="no such file"):
        records.plan(tmp_path / "nowhere")
