# SPDX-License-Identifier: Apache-2.0
"""The folder of a build: what may be replaced, what an error leaves, and how damage is reported."""

import json
import os
import shutil
from pydoc_data.topics import topics

import pytest
from records_helpers import hashes

from maskcore import records
from maskcore.records import MaskConfig, RecordsError
from maskcore.records.engine import folder
from maskcore.records.tokenising.tokenise import train_wordpiece


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Real prose in one file; paragraphs are documents."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "a.txt").write_text("\n\n".join(topics[name] for name in sorted(topics)[:6]))
    return folder


@pytest.fixture(scope="module")
def tokenizer(corpus, tmp_path_factory):
    """A tokenizer.json trained on the corpus."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(
        train_wordpiece([(corpus / "a.txt").read_text().split("\n")], 800).content.decode()
    )
    return path


@pytest.fixture(scope="module")
def built(corpus, tokenizer, tmp_path_factory):
    """A finished build of three shards that stores one epoch of six positions."""
    out = tmp_path_factory.mktemp("built") / "records"
    mask = MaskConfig(seed=3, masking_ratio=0.2)
    records.build(
        corpus, out, tokenizer=tokenizer, seq_length=32, mask=mask, mask_epochs=1, num_shards=3
    )
    return records.open(out)


def test_overwrite_replaces_records_and_nothing_else(corpus, tokenizer, tmp_path):
    out = tmp_path / "r"
    arguments = {"tokenizer": tokenizer, "seq_length": 16}
    out.mkdir()  # an empty folder is as good as none
    records.build(corpus, out, **arguments, num_shards=4)
    before = hashes(out)
    with pytest.raises(RecordsError, match="holds records; pass another folder, or --overwrite"):
        records.build(corpus, out, **arguments)
    assert hashes(out) == before
    (out / "notes.md").write_text("mine")
    with pytest.raises(RecordsError, match=r"holds 'notes\.md', which no build wrote"):
        records.build(corpus, out, **arguments, overwrite=True)
    (out / "notes.md").unlink()
    records.build(corpus, out, **arguments, overwrite=True, num_shards=2)
    assert sorted(os.listdir(out)) == [
        "MANIFEST.json", "part-00000-of-00002.tfrecord", "part-00001-of-00002.tfrecord", "report.html",
        "report.json", "tokenizer.json",
    ]  # fmt: skip
    (out / "MANIFEST.json").unlink()  # no build leaves this; the next one may replace it
    records.build(corpus, out, **arguments)
    assert len(records.open(out)) > 0


def test_bad_input_leaves_what_was_there(corpus, tokenizer, tmp_path):
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.txt").write_text("good\n")
    (bad / "b.txt").write_bytes(b"bad \xff\n")
    for workers in (1, 2):
        new = tmp_path / "several" / "new"
        with pytest.raises(RecordsError, match="invalid UTF-8"):
            records.build(bad, new, tokenizer=tokenizer, workers=workers)
        assert not new.parent.exists()
    records.build(corpus, tmp_path / "old", tokenizer=tokenizer, seq_length=16)
    before = hashes(tmp_path / "old")
    with pytest.raises(RecordsError, match="invalid UTF-8"):
        records.build(bad, tmp_path / "old", tokenizer=tokenizer, overwrite=True)
    assert hashes(tmp_path / "old") == before


@pytest.mark.parametrize("stage", ["read", "train", "build"])
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_build_goes_on(corpus, built_anew, tmp_path, stage, workers):
    """What is there after Ctrl-C is an unfinished build and nothing else, and the same call resumes it."""
    arguments = {"seq_length": 16, "num_shards": 5, "vocab_size": 300, "workers": workers}

    def interrupt(progress):
        if progress.stage == stage and progress.units_done:
            raise KeyboardInterrupt

    out = tmp_path / "r"
    with pytest.raises(KeyboardInterrupt):
        records.build(corpus, out, **arguments, on_progress=interrupt)
    assert os.listdir(out) == ["_build"]
    seen = []
    records.build(corpus, out, **arguments, on_progress=seen.append)
    assert hashes(out) == built_anew
    again = [progress for progress in seen if progress.stage == stage]
    assert all(progress.units_done >= 1 for progress in again)  # what was done stayed
    assert bool(again) == (stage != "train")


@pytest.fixture(scope="module")
def built_anew(corpus, tmp_path_factory):
    """Return the hashes of the build that is interrupted above."""
    out = tmp_path_factory.mktemp("anew") / "r"
    records.build(corpus, out, seq_length=16, num_shards=5, vocab_size=300)
    return hashes(out)


def test_a_target_that_is_not_a_local_folder_is_refused(corpus, tmp_path):
    with pytest.raises(RecordsError, match="records are built in a local folder"):
        records.build(corpus, "memory://records")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RecordsError, match="file: is a file; pass a folder"):
        records.build(corpus, tmp_path / "file", overwrite=True)
    assert not os.path.exists("memory:")


def test_more_shards_than_documents_leave_some_empty(tmp_path):
    """NumPy's words ended such a build, or one of blank lines."""
    (tmp_path / "a.txt").write_text("One sentence.\n\nAnother one.\n")
    out = tmp_path / "r"
    manifest = records.build(
        tmp_path / "a.txt", out, num_shards=40, bins=(8, 16), workers=2, verify=True
    )
    assert manifest.num_rows == 2
    assert len(manifest.shards) == 80
    assert sum(shard.records > 0 for shard in manifest.shards) <= 2
    (tmp_path / "blank.txt").write_text("\n \n\n")
    with pytest.raises(RecordsError, match="no text in the corpus; pass files with sentences"):
        records.build(tmp_path / "blank.txt", tmp_path / "none", num_shards=2)
    assert not (tmp_path / "none").exists()


def test_the_target_must_not_hold_the_corpus(corpus, tmp_path):
    with pytest.raises(RecordsError, match="which belongs to the corpus"):
        records.build(corpus / "a.txt", corpus, overwrite=True)
    assert (corpus / "a.txt").exists()


def copy_of(built, folder):
    folder.mkdir()
    for name in os.listdir(built.folder):
        (folder / name).write_bytes((built.folder / name).read_bytes())
    return folder


def test_damaged_folders_are_refused(built, tmp_path):
    with pytest.raises(RecordsError, match=r"no MANIFEST\.json"):
        records.open(tmp_path)
    folder = copy_of(built, tmp_path / "missing")
    (folder / built.manifest.shards[1].file).unlink()
    with pytest.raises(RecordsError, match=r"part-00001-of-00003\.tfrecord: missing"):
        records.open(folder)
    folder = copy_of(built, tmp_path / "short")
    shard = folder / built.manifest.shards[0].file
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(RecordsError, match="bytes, the manifest says"):
        records.open(folder)
    folder = copy_of(built, tmp_path / "flipped")
    shard = folder / built.manifest.shards[2].file
    content = bytearray(shard.read_bytes())
    content[-100] ^= 1
    shard.write_bytes(content)
    last = built.manifest.shards[2].records - 1
    with pytest.raises(RecordsError, match=rf"part-00002.*record {last} at byte \d+: the checksum"):
        list(records.open(folder))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda fields: fields.pop("mask"), "damaged .KeyError: 'mask'"),
        (lambda fields: fields["mask"].update(max_n=0), "damaged .ValueError: max_n must be"),
        (lambda fields: fields.update(format="other"), "damaged .ValueError: format 'other'"),
        (lambda fields: fields.update(format_version=1), "format version 1, this maskcore reads 2"),
        (lambda fields: fields.update(shards=[{"file": 1}]), "damaged .TypeError"),
    ],
    ids=["field missing", "bad value", "other format", "later version", "bad shard"],
)
def test_damaged_manifests_are_refused(built, tmp_path, change, problem):
    folder = copy_of(built, tmp_path / "r")
    fields = json.loads((folder / "MANIFEST.json").read_text())
    change(fields)
    (folder / "MANIFEST.json").write_text(json.dumps(fields))
    with pytest.raises(RecordsError, match=problem):
        records.open(folder)


def test_masks_of_another_algorithm_are_not_derived(built, tmp_path):
    folder = copy_of(built, tmp_path / "r")
    fields = json.loads((folder / "MANIFEST.json").read_text())
    fields["algorithm_version"] = 2
    (folder / "MANIFEST.json").write_text(json.dumps(fields))
    opened = records.open(folder)
    columns = next(opened.batches(10))
    with pytest.raises(RecordsError, match="made for version 2 of the masking algorithm"):
        opened.masks(columns)
    assert opened.stored_masks(columns, 0).positions.shape == (10, 6)


def test_a_corpus_with_a_name_that_is_no_utf8_is_built(tokenizer, tmp_path):
    """The manifest, written at the very end, was refused by the codec of UTF-8."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    try:
        (corpus / "caf\udce9.txt").write_text("One sentence.\n")
    except OSError as error:
        pytest.skip(f"this file system has no such names ({error})")
    out = tmp_path / "r"
    records.build(corpus, out, tokenizer=tokenizer, seq_length=16)
    assert rb'"name": "caf\udce9.txt"' in (out / "MANIFEST.json").read_bytes()
    assert records.open(out).manifest.inputs[0].name == "caf\udce9.txt"
    before = hashes(out)
    records.report(out)
    assert hashes(out) == before


def test_a_vocabulary_of_the_users_is_nothing_that_a_build_wrote(corpus, tokenizer, tmp_path):
    """It was taken for a build's own, and removed when the records came."""
    out = tmp_path / "r"
    out.mkdir()
    (out / "vocab.txt").write_text("[PAD]\n")
    with pytest.raises(RecordsError, match=r"holds 'vocab\.txt', which no build wrote"):
        records.build(corpus, out, tokenizer=tokenizer, seq_length=16)
    assert (out / "vocab.txt").read_text() == "[PAD]\n"


def test_records_that_appear_while_a_build_waits_for_the_lock_are_kept(
    corpus, tokenizer, tmp_path, monkeypatch
):
    """A build that found no records looked no second time, and replaced those of another one."""
    out = tmp_path / "r"
    arguments = {"tokenizer": tokenizer, "seq_length": 16, "workers": 1}
    real = folder._lock

    def lock(*place):
        monkeypatch.undo()
        shutil.copytree(finished, out, dirs_exist_ok=True)
        return real(*place)

    finished = tmp_path / "finished"
    records.build(corpus, finished, **arguments)
    monkeypatch.setattr(folder, "_lock", lock)
    with pytest.raises(RecordsError, match="holds records; pass another folder"):
        records.build(corpus, out, **{**arguments, "seq_length": 32})
    assert hashes(out) == hashes(finished)


def test_what_a_killed_report_leaves_is_no_obstacle(corpus, tokenizer, tmp_path):
    """`report.json.tmp` made the folder one that holds something foreign."""
    out = tmp_path / "r"
    arguments = {"tokenizer": tokenizer, "seq_length": 16, "workers": 1}
    records.build(corpus, out, **arguments)
    before = hashes(out)
    (out / "report.json.7-0a1b2c3d.attempt").write_text("half")
    records.build(corpus, out, **arguments, overwrite=True)
    assert hashes(out) == before
