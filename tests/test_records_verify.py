# SPDX-License-Identifier: Apache-2.0
"""`verify`: nothing found in what a build made, and each kind of damage told with file, record and byte."""

import hashlib
import json
import os
from pydoc_data.topics import topics

import pytest

from maskcore import records
from maskcore.records import MaskConfig, RecordsError
from maskcore.records.encoding.encoders import make_encoder
from maskcore.records.encoding.schema import row_format
from maskcore.records.tokenising.tokenise import train_wordpiece

FORMS = {
    "plain": {},
    "bins": {"seq_length": None, "bins": (16, 48, 300), "pairs": "sop", "layout": "compact"},
    "nsp": {"pairs": "nsp", "dupe_factor": 2},
    "packed": {"seq_length": None, "pack": True, "bins": (64, 300)},
    "parquet": {"file_format": "parquet", "pairs": "sop"},
    "bert": {"schema": "bert", "pairs": "sop", "mask_epochs": 0},
    "bert parquet": {"schema": "bert", "file_format": "parquet", "mask_epochs": 0},
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Real prose; paragraphs are documents."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "a.txt").write_text("\n\n".join(topics[name] for name in sorted(topics)[:12]))
    return folder


@pytest.fixture(scope="module")
def tokenizer(corpus, tmp_path_factory):
    """A tokenizer.json trained on the corpus."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_bytes(train_wordpiece([(corpus / "a.txt").read_text().split("\n")], 900).content)
    return path


@pytest.fixture(scope="module")
def build(corpus, tokenizer, tmp_path_factory):
    """A function that builds in a folder of its own."""

    def build(**options):
        out = tmp_path_factory.mktemp("built") / "r"
        settings = {"seq_length": 64, "mask_epochs": 2, "num_shards": 3, "mask": MaskConfig(seed=3)}
        records.build(corpus, out, tokenizer=tokenizer, workers=1, **(settings | options))
        return out

    return build


@pytest.fixture(scope="module")
def sound(build):
    """A sound folder of three shards, not to be changed."""
    return build()


@pytest.fixture
def folder(sound, tmp_path):
    """A copy of it."""
    copy = tmp_path / "r"
    copy.mkdir()
    for name in os.listdir(sound):
        (copy / name).write_bytes((sound / name).read_bytes())
    return copy


def shard_path(folder, number):
    return folder / f"part-0000{number}-of-00003.tfrecord"


def record_starts(content):
    """Return where each record begins, from the lengths in their headers."""
    starts = [0]
    while starts[-1] < len(content):
        length = int.from_bytes(content[starts[-1] : starts[-1] + 8], "little")
        starts.append(starts[-1] + 16 + length)
    return starts[:-1]


def change_manifest(folder, change, *, is_signed=True):
    """Change the manifest as a build would have written it, of which there is no report then."""
    path = folder / "MANIFEST.json"
    fields = json.loads(path.read_text())
    change(fields)
    if is_signed:
        del fields["manifest_sha256"]
        canonical = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")
        fields["manifest_sha256"] = hashlib.sha256(canonical).hexdigest()
        (folder / "report.json").unlink()
    path.write_text(json.dumps(fields))


def state_anew(folder, number):
    """Let the manifest state a shard's size and digest as they are now."""

    def change(fields):
        content = shard_path(folder, number).read_bytes()
        shard = fields["shards"][number]
        shard["bytes"], shard["sha256"] = len(content), hashlib.sha256(content).hexdigest()
        shard["records"] = len(record_starts(content))
        rows = sum(shard["records"] for shard in fields["shards"])
        fields["counts"]["rows_per_bin"]["64"] = rows

    change_manifest(folder, change)


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_what_a_build_made_is_sound(build, options):
    out = build(**options)
    result = records.verify(out, workers=1)
    manifest = records.open(out).manifest
    assert (result.problems, result.warnings) == ((), ())
    assert result.is_sound
    assert result.masks_checked
    assert (result.files, result.rows) == (len(manifest.shards), manifest.num_rows)
    assert result.bytes == sum(os.path.getsize(out / shard.file) for shard in manifest.shards)


def test_several_processes_find_the_same(folder):
    for number in (0, 2):
        content = bytearray(shard_path(folder, number).read_bytes())
        content[-1] ^= 1
        shard_path(folder, number).write_bytes(content)
    alone = records.verify(folder, workers=1)
    assert len(alone.problems) == 2
    assert records.verify(folder, workers=2) == alone


def test_every_damaged_file_is_told_with_record_and_byte(folder):
    expected = []
    for number, (record, place) in enumerate([(0, 3), (7, 40), (2, 9)]):
        path = shard_path(folder, number)
        content = bytearray(path.read_bytes())
        start = record_starts(content)[record]
        content[start + place] ^= 0x20
        path.write_bytes(content)
        part = "content" if place >= 12 else "length"
        expected.append(
            f"{path}: record {record} at byte {start}: the checksum of its {part} does not match; "
            "the file is damaged; build the records again"
        )
    assert records.verify(folder).problems == tuple(expected)


def test_truncations_are_told_with_record_and_byte(folder):
    cut, whole, empty = (shard_path(folder, number) for number in range(3))
    starts = record_starts(cut.read_bytes())
    cut.write_bytes(cut.read_bytes()[: starts[5] + 30])
    content = whole.read_bytes()
    num_records = len(record_starts(content))
    last = record_starts(content)[-1]
    whole.write_bytes(content[:last])
    empty.unlink()
    problems = records.verify(folder).problems
    assert problems[0].startswith(f"{cut}: record 5 at byte {starts[5]} ends after 30 bytes")
    assert problems[1].startswith(
        f"{whole}: ends after record {num_records - 2} at byte {last}, the manifest says "
        f"{num_records} records"
    )
    assert problems[2].startswith(f"{empty}: missing, the manifest lists it")
    assert len(problems) == 3


def test_records_appended_or_of_another_build(folder, sound):
    path = shard_path(folder, 0)
    path.write_bytes(path.read_bytes() + shard_path(sound, 1).read_bytes())
    shard_path(folder, 1).write_bytes(shard_path(sound, 2).read_bytes())

    def change(fields):
        _, shard, other = fields["shards"]
        fields["counts"]["rows_per_bin"]["64"] += other["records"] - shard["records"]
        shard.update(records=other["records"], bytes=other["bytes"])

    change_manifest(folder, change)
    problems = records.verify(folder).problems
    assert "records; copy it again" in problems[0]
    assert "every record is sound, but the file's SHA-256 is" in problems[1]
    # Rows of two files now stand in others as well.
    assert len(problems) == 2 + 5
    assert all("one row_id, " in problem for problem in problems[2:])
    assert f"{shard_path(folder, 1)}: record " in problems[2]


def test_repeated_rows_are_told_with_their_places(folder):
    path = shard_path(folder, 1)
    content = path.read_bytes()
    starts = record_starts(content)
    path.write_bytes(content + content[starts[4] : starts[5]])
    state_anew(folder, 1)
    (problem,) = records.verify(folder).problems
    assert f"{path}: record 4; {path}: record {len(starts)}: one row_id, " in problem
    assert "for 2 rows" in problem


def test_another_tokenizer_and_stray_files(folder):
    (folder / "tokenizer.json").write_text("{}")
    (folder / "part-00009-of-00003.tfrecord").write_text("")
    first, second = records.verify(folder).problems
    assert f"{folder / 'tokenizer.json'}: SHA-256 44136fa355b3678a" in first
    assert "part-00009-of-00003.tfrecord: MANIFEST.json does not list it; remove it" in second
    (folder / "tokenizer.json").unlink()
    assert "tokenizer.json: missing" in records.verify(folder).problems[0]


def test_a_manifest_that_was_changed(folder):
    """Without stored masks nothing else shows that its seed is another."""
    path = folder / "MANIFEST.json"
    stated = json.loads(path.read_text())["manifest_sha256"]
    (folder / "report.json").unlink()
    change_manifest(folder, lambda fields: fields.update(short_seq_prob=0.25), is_signed=False)
    (problem,) = records.verify(folder).problems
    assert problem.startswith(f"{path}: manifest_sha256 of its fields is ")
    assert f"it says {stated}; it was changed after the build" in problem
    change_manifest(folder, lambda fields: fields.pop("manifest_sha256"), is_signed=False)
    assert "it says None" in records.verify(folder).problems[0]


def test_counts_that_are_not_those_of_the_shards(folder):
    change_manifest(folder, lambda fields: fields["counts"]["rows_per_bin"].update({"64": 1}))
    (problem,) = records.verify(folder).problems
    assert "MANIFEST.json: counts.rows_per_bin is {'64': 1}, its shards have {'64': " in problem


REPORTS = {
    "of another seed": (lambda text: text.replace('"seed": 3', '"seed": 4'), "its options is not"),
    "of other rows": (lambda text: text.replace('"rows": ', '"rows": 1', 1), "its records is not"),
    "of other inputs": (lambda text: text.replace('"a.txt"', '"b.txt"'), "its inputs is not"),
    "cut off": (lambda text: text[:500], "damaged (JSONDecodeError: "),
    "no object": (lambda text: "[]", "its format is not"),
}


@pytest.mark.parametrize(("change", "problem"), REPORTS.values(), ids=REPORTS)
def test_a_report_that_is_not_of_these_records(folder, change, problem):
    path = folder / "report.json"
    path.write_text(change(path.read_text()))
    (found,) = records.verify(folder).problems
    assert found.startswith(f"{path}: {problem}")
    assert found.endswith(f"; run maskcore report {folder}")
    records.report(folder)
    assert records.verify(folder).is_sound


def test_what_does_the_records_no_harm_is_a_warning(folder):
    (folder / "report.json").unlink()
    (folder / "report.html").unlink()
    (folder / "_build").mkdir()
    for name in ("notes.txt", "b", "c", "a"):
        (folder / name).write_text("mine")
    result = records.verify(folder)
    assert result.is_sound
    missing, unfinished, stray = result.warnings
    assert missing == (
        f"{folder}: report.json and report.html missing; run maskcore report {folder}"
    )
    assert unfinished.startswith(f"{folder / '_build'}: left by a build that did not finish")
    assert stray.startswith(f"{folder}: a, b, c and 1 more: not of the build")


def test_masks_that_are_not_the_derived_ones(folder):
    change_manifest(folder, lambda fields: fields["mask"].update(seed=4))
    result = records.verify(folder)
    assert len(result.problems) == 3
    for number, problem in enumerate(result.problems):
        assert problem.startswith(f"{shard_path(folder, number)}: record 0 at byte 0: masked_lm_")
        assert "must be as derived from the seed, the epoch and the row's id" in problem


def test_masks_of_another_algorithm_are_not_derived(folder):
    change_manifest(folder, lambda fields: fields.update(algorithm_version=99))
    result = records.verify(folder)
    assert result.problems == ()
    assert not result.masks_checked


def test_a_wrong_row_is_told_with_record_and_byte(folder):
    """A record whose checksums are right and whose third token is out of the vocabulary."""
    opened = records.open(folder)
    manifest = opened.manifest
    before = sum(shard.records for shard in manifest.shards[:2])
    (columns,) = opened.batches(10_000, start=before, stop=manifest.num_rows)
    columns["input_ids"][6, 2] = manifest.tokenizer.vocab_size
    tokenizer = manifest.tokenizer
    encoder = make_encoder(row_format(manifest, 64, tokenizer.vocab_size, tokenizer.special_tokens))
    content = encoder.encode(columns)[0].tobytes()
    shard_path(folder, 2).write_bytes(content)
    state_anew(folder, 2)
    (problem,) = records.verify(folder).problems
    assert problem.startswith(
        f"{shard_path(folder, 2)}: record 6 at byte {record_starts(content)[6]}: input_ids[2] must be "
        f"in [0, {tokenizer.vocab_size}), got {tokenizer.vocab_size}; it is the vocabulary"
    )


def test_damaged_parquet_files(build):
    out = build(file_format="parquet", pairs="sop")
    names = sorted(name for name in os.listdir(out) if name.startswith("part-"))
    content = bytearray((out / names[1]).read_bytes())
    content[200] ^= 1
    (out / names[1]).write_bytes(content)
    (out / names[2]).write_bytes((out / names[2]).read_bytes()[:-5])
    first, second = records.verify(out).problems
    assert first.startswith(f"{out / names[1]}: records from 0 on, at byte 4, cannot be read (")
    assert second.startswith(f"{out / names[2]}: records from 0 on, at byte 0, cannot be read (")


def test_no_manifest_and_bad_arguments(tmp_path, sound):
    with pytest.raises(RecordsError, match=r"no MANIFEST\.json"):
        records.verify(tmp_path)
    with pytest.raises(ValueError, match=r"workers must be in \[1, 65536\), got 0"):
        records.verify(sound, workers=0)


def test_other_features_in_the_manifest(folder):
    change_manifest(folder, lambda fields: fields["features"]["64"].pop("word_ids"))
    with pytest.raises(RecordsError, match=r"features of rows of 64 are .* this maskcore reads"):
        records.verify(folder)


def test_progress_reaches_the_whole(sound):
    told = []
    result = records.verify(sound, workers=1, on_progress=told.append)
    last = told[-1]
    assert {progress.stage for progress in told} == {"verify"}
    assert (last.units_done, last.units_total) == (3, 3)
    assert last.rows == result.rows
    assert abs(last.bytes_done - last.bytes_total) <= 3
