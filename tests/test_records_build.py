# SPDX-License-Identifier: Apache-2.0
"""The whole way from text to records: nothing lost, nothing left to chance, nothing half published."""

import hashlib
import json
import os
import subprocess
import sys
from fractions import Fraction
from itertools import groupby
from pydoc_data.topics import topics

import numpy as np
import pytest
import tensorflow as tf
from records_helpers import hashes
from test_records_words import KOREAN
from tokenizers import Tokenizer

import maskcore
import tfshim
from maskcore import records
from maskcore.records import MaskConfig
from maskcore.records.engine import spill, unit
from maskcore.records.rows.row_identity import document_key, row_id_of
from maskcore.records.tokenising.tokenise import load_tokeniser, train_wordpiece


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Real prose in two files; paragraphs are documents."""
    folder = tmp_path_factory.mktemp("corpus")
    names = sorted(topics)
    (folder / "sub").mkdir()
    (folder / "a.txt").write_text("\n\n".join(topics[name] for name in names[:10]))
    (folder / "sub" / "b.txt").write_text("\n\n".join(topics[name] for name in names[10:20]))
    return folder


@pytest.fixture(scope="module")
def tokenizer(corpus, tmp_path_factory):
    """A tokenizer.json trained on the corpus."""
    lines = [line for path in corpus.rglob("*.txt") for line in path.read_text().split("\n")]
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_bytes(train_wordpiece([sorted(lines)], 2000).content)
    return path


@pytest.fixture(scope="module")
def built(corpus, tokenizer, tmp_path_factory):
    """A finished build that stores three epochs."""
    out = tmp_path_factory.mktemp("built") / "records"
    mask = MaskConfig(seed=2**62 + 1, max_n=2, masking_ratio=0.2, mask_unit="word")
    records.build(
        corpus, out, tokenizer=tokenizer, seq_length=32, mask=mask, mask_epochs=3, num_shards=3
    )
    return records.open(out)


def all_columns(opened):
    batches = list(opened.batches(500))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def document_offsets(content):
    """Yield where documents begin, the plain way."""
    at, is_inside = 0, False
    for line in content.split(b"\n"):
        if line.strip() and not is_inside:
            yield at
        is_inside = bool(line.strip())
        at += len(line) + 1


def test_every_token_of_the_text_is_written_in_order(corpus, tokenizer, built):
    """Rows joined by document give exactly what the tokenizer makes of the files."""
    plain = Tokenizer.from_str(tokenizer.read_text())
    plain.encode_special_tokens = True
    expected = []
    for name in ("a.txt", "sub/b.txt"):
        for line in (corpus / name).read_text().split("\n"):
            expected += plain.encode(line.strip(), add_special_tokens=False).ids
    by_id = {int(row["row_id"][0]): row for row in built}
    assert len(by_id) == len(built)
    found = []
    for name in ("a.txt", "sub/b.txt"):
        for offset in document_offsets((corpus / name).read_bytes()):
            index = 0
            key = document_key(name, offset)
            while (row := by_id.pop(row_id_of(key, index), None)) is not None:
                found += row["input_ids"][row["attention_mask"] == 1].tolist()[1:-1]
                index += 1
    assert by_id == {}
    assert found == expected
    assert built.manifest.counts["tokens_read"] == len(expected) > 10_000
    assert built.manifest.counts["tokens_written"] == len(expected)


def test_rows_have_their_shape(built):
    columns = all_columns(built)
    special = built.manifest.tokenizer.special_tokens
    ids, used, words = columns["input_ids"], columns["attention_mask"], columns["word_ids"]
    length = used.sum(axis=1)
    places = np.arange(32)
    np.testing.assert_array_equal(used, places < length[:, None])
    assert (ids[:, 0] == special["cls"].id).all()
    assert (ids[np.arange(len(ids)), length - 1] == special["sep"].id).all()
    assert (ids[used == 0] == special["pad"].id).all()
    np.testing.assert_array_equal(words > 0, (places > 0) & (places < length[:, None] - 1))
    steps = np.diff(words, axis=1)[words[:, 1:] > 0]
    assert set(steps.tolist()) == {0, 1}
    assert (columns["token_type_ids"] == 0).all()
    assert built.manifest.counts["padding_tokens"] == int((used == 0).sum())
    assert built.manifest.counts["rows"] == len(ids) == len(built)


def test_stored_masks_are_those_of_the_public_function(built):
    """K stored epochs equal what `mask_indices` derives from (seed, epoch, row id) alone."""
    columns = all_columns(built)
    words = columns["word_ids"]
    for epoch in range(3):
        positions, weights = maskcore.mask_indices(
            words != 0,
            word_ids=words - 1,
            seed=2**62 + 1,
            epoch=epoch,
            row_ids=columns["row_id"][:, 0],
            max_n=2,
            masking_ratio=0.2,
            max_predictions=6,  # 0.2 of 30
        )
        stored = columns["masked_lm_positions"].reshape(-1, 3, 6)[:, epoch]
        np.testing.assert_array_equal(stored, positions)
        np.testing.assert_array_equal(columns["masked_lm_counts"][:, epoch], weights.sum(axis=1))
        again = built.masks(columns, epoch)
        np.testing.assert_array_equal(again.positions, positions)
        np.testing.assert_array_equal(built.stored_masks(columns, epoch).weights, weights)
        assert built.manifest.counts["masked_tokens"][epoch] == int(weights.sum())
    # A row goes without a mask only where a word of it is longer than its budget: docs/algorithm.md, section 5.3.
    for row in words[(columns["masked_lm_counts"] == 0).any(axis=1)].tolist():
        lengths = [len(list(tokens)) for word_id, tokens in groupby(row) if word_id != 0]
        assert max(lengths, default=0) > min(6, max(1, (2 * sum(lengths) + 5) // 10))
    with pytest.raises(ValueError, match=r"epoch must be in \[0, 3\).*got 3; derive it"):
        built.stored_masks(columns, 3)


def test_tf_data_reads_the_records(built):
    """Batched parsing with fixed shapes gives the rows that `open` gives."""
    spec = {
        name: tf.io.FixedLenFeature([length], tf.int64)
        for name, (length, _) in built.manifest.features[32].items()
    }
    dataset = tf.data.TFRecordDataset(built.files()).batch(100)
    parsed = list(dataset.map(lambda r: tf.io.parse_example(r, spec)).as_numpy_iterator())
    columns = all_columns(built)
    assert set(parsed[0]) == set(columns) == {
        "attention_mask", "input_ids", "masked_lm_counts", "masked_lm_positions", "row_id",
        "token_type_ids", "word_ids",
    }  # fmt: skip
    for name, column in columns.items():
        np.testing.assert_array_equal(np.concatenate([batch[name] for batch in parsed]), column)


def test_masks_drawn_in_tf_data_are_the_stored_ones(built):
    columns = all_columns(built)
    words = tf.constant(columns["word_ids"])
    eligible = (columns["word_ids"] > 0).sum(axis=1)
    for epoch in range(3):
        mask = tfshim.get_masking_position(
            tf.cast(words > 0, tf.int64),
            max_n=2,
            num_tokens_to_mask=tf.constant(np.maximum(1, (2 * eligible + 5) // 10)),
            seed=2**62 + 1,
            row_ids=columns["row_id"][:, 0],
            epoch=epoch,
            word_ids=words - 1,
        )
        expected = np.zeros(words.shape, np.int64)
        stored = built.stored_masks(columns, epoch)
        rows, places = np.nonzero(stored.weights)
        expected[rows, stored.positions[rows, places]] = 1
        np.testing.assert_array_equal(mask, expected)


def test_the_same_bytes_every_time(corpus, tokenizer, built, tmp_path, monkeypatch):
    """Neither the order of the inputs, nor what is done at a time, nor workers, nor backend matter."""
    arguments = {"tokenizer": tokenizer, "seq_length": 32, "mask_epochs": 1, "num_shards": 3}
    monkeypatch.setattr(unit, "TOKENISED_BYTES", 997)
    monkeypatch.setattr(unit, "CHUNK_VALUES", 5_000)
    monkeypatch.setattr(spill, "RUN_BYTES", 10_000)
    with maskcore.use_backend("reference"):
        records.build(
            [corpus / "sub", corpus / "a.txt"], tmp_path / "small", workers=1, **arguments
        )
    monkeypatch.undo()
    for workers in (1, 2, 3):
        out = tmp_path / f"{workers}"
        records.build([corpus / "a.txt", corpus / "sub"], out, workers=workers, **arguments)
        assert hashes(out) == hashes(tmp_path / "small")
    whole = records.build(corpus, tmp_path / "whole", tokenizer=tokenizer, seq_length=32)
    assert [entry.name for entry in whole.inputs] == ["a.txt", "sub/b.txt"]
    assert whole.num_rows == len(built)


def test_a_trained_tokenizer_is_the_same_in_every_process(corpus, tmp_path):
    """Training in `tokenizers` itself numbers pieces in the order of a hash map."""
    code = (
        "import sys, maskcore.records as r\n"
        "r.build(sys.argv[1], sys.argv[2], seq_length=64, vocab_size=1500, mask_epochs=1)"
    )
    for name in ("one", "two", "three"):
        subprocess.run([sys.executable, "-c", code, corpus, tmp_path / name], check=True)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two") == hashes(tmp_path / "three")


def test_documents_go_to_their_shards(built):
    shards = built.manifest.shards
    assert [shard.file for shard in shards] == [f"part-0000{i}-of-00003.tfrecord" for i in range(3)]
    assert sum(shard.records for shard in shards) == len(built)
    assert all(shard.records > len(built) // 6 for shard in shards)
    for shard in shards:
        assert shard.sha256 == hashlib.sha256((built.folder / shard.file).read_bytes()).hexdigest()


def test_the_manifest_says_how_the_masks_were_drawn(built):
    fields = json.loads((built.folder / "MANIFEST.json").read_text())
    assert fields["mask"] == {
        "mask_unit": "word", "masking_ratio": 0.2, "max_n": 2, "max_predictions": 6,
        "ngram_weights": ["1", "1/2"], "seed": 2**62 + 1,
    }  # fmt: skip
    assert fields["algorithm_version"] == 1
    assert fields["seq_length"] == 32
    assert fields["mask_epochs"] == 3
    assert fields["features"]["32"]["masked_lm_positions"] == {"length": 18, "dtype": "int64"}
    assert fields["tokenizer"]["special_tokens"]["mask"] == {"token": "[MASK]", "id": 4}
    content = (built.folder / "tokenizer.json").read_bytes()
    assert fields["tokenizer"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert records.Manifest.from_fields(fields) == built.manifest
    assert built.manifest.mask.ngram_weights == (1, Fraction(1, 2))


def test_tokens_as_units(corpus, tokenizer, tmp_path):
    mask = MaskConfig(seed=4, mask_unit="token", max_predictions=3)
    records.build(
        corpus, tmp_path / "r", tokenizer=tokenizer, seq_length=40, mask=mask, mask_epochs=1
    )
    opened = records.open(tmp_path / "r")
    columns = all_columns(opened)
    maskable = columns["word_ids"] > 0
    eligible = maskable.sum(axis=1)
    expected = np.minimum(3, np.maximum(1, (30 * eligible + 100) // 200))
    np.testing.assert_array_equal(columns["masked_lm_counts"][:, 0], expected)
    positions, _ = maskcore.mask_indices(
        maskable, seed=4, row_ids=columns["row_id"][:, 0], masking_ratio=0.15, max_predictions=3
    )
    np.testing.assert_array_equal(columns["masked_lm_positions"], positions)


def test_korean_words_are_masked_whole(tmp_path):
    """The whole way with Korean text: an eojeol's pieces are masked together or not at all."""
    sentences = KOREAN * 40
    (tmp_path / "ko.txt").write_text(
        "\n\n".join("\n".join(sentences[i : i + 3]) for i in range(240))
    )
    settings = json.loads(train_wordpiece([KOREAN], 500).content.decode())
    vocabulary = settings["model"]["vocab"]
    short = [p for p in vocabulary if len(p.removeprefix("##")) <= 2 or p.startswith("[")]
    settings["model"]["vocab"] = {piece: number for number, piece in enumerate(short)}
    (tmp_path / "t.json").write_text(json.dumps(settings))
    mask = MaskConfig(seed=1, max_n=2, masking_ratio=0.3)
    records.build(
        tmp_path / "ko.txt", tmp_path / "r", tokenizer=tmp_path / "t.json", seq_length=48, mask=mask,
        mask_epochs=2,
    )  # fmt: skip
    opened = records.open(tmp_path / "r")
    assert opened.manifest.counts["unknown_tokens"] == 0
    vocabulary = Tokenizer.from_file(str(tmp_path / "r" / "tokenizer.json"))
    num_masked = num_split = 0
    for row in opened:
        pieces = [vocabulary.id_to_token(token) for token in row["input_ids"]]
        for epoch in range(2):
            count = row["masked_lm_counts"][epoch]
            masked = set(row["masked_lm_positions"].reshape(2, -1)[epoch, :count].tolist())
            num_masked += len(masked)
            for place in range(1, 47):
                if pieces[place].startswith("##"):
                    assert (place in masked) == (place - 1 in masked)
                    num_split += place in masked
    assert num_masked > 1000
    assert num_split > 100
    text = load_tokeniser(tmp_path / "r" / "tokenizer.json").rule.text
    joined = {
        text(row["input_ids"][row["word_ids"] > 0].tolist()).replace(" ", "") for row in opened
    }
    assert any("도서관에서빌린책을아직다읽지못했습니다." in row for row in joined)


def test_counts_of_a_small_corpus(tmp_path):
    """Everything that is counted, by hand."""
    long_word = "한" * 101  # above BERT's limit for one word: unknown
    (tmp_path / "a.txt").write_text(f"a b\nc {long_word}\n\n\u200b\n\n[MASK] a\na b c a b c a\n")
    tokenizer = Tokenizer.from_str(train_wordpiece([["a b c " * 3]], 32).content.decode())
    settings = json.loads(tokenizer.to_str())
    settings["pre_tokenizer"] = {"type": "WhitespaceSplit"}  # so that the text can give [MASK]
    (tmp_path / "t.json").write_text(json.dumps(settings))
    manifest = records.build(
        tmp_path / "a.txt",
        tmp_path / "r",
        tokenizer=tmp_path / "t.json",
        seq_length=6,
        mask_epochs=1,
    )
    assert manifest.counts == {
        "documents": 3,
        "documents_cut": 0,
        "documents_empty": 0,
        "documents_skipped": 0,
        "documents_without_tokens": 1,
        "bytes_skipped": 0,
        "characters_replaced": 0,
        "lines_cut": 0,
        "sentences": 5,
        "sentences_without_tokens": 1,
        "sentences_cut": 1,
        "words_cut": 0,
        "tokens_read": 13,
        "tokens_written": 13,
        "tokens_truncated": 0,
        "truncated": {},
        "tokens_skipped": 0,
        "skipped": {},
        "tokens_borrowed": 0,
        "unknown_tokens": 1,
        "special_tokens_in_text": 1,
        "special_tokens_added": 8,
        "padding_tokens": 3,
        "rows": 4,
        "rows_per_bin": {"6": 4},
        "rows_with_short_target": 0,
        "labels": {},
        "pairs_without_partner": 0,
        "pairs_with_forced_partner": 0,
        "masked_tokens": [4],
        # Of 0, 1, 2 to 3, 4 to 7, ... tokens; sentences without any are counted above.
        "documents_by_tokens": [1, 0, 0, 1, 1],
        "sentences_by_tokens": [0, 0, 3, 1],
    }
    # In the order of the text; within a shard it is that of hashes.
    keys = [document_key("a.txt", offset) for offset in (0, 316)]
    ids = [row_id_of(keys[0], 0), *(row_id_of(keys[1], index) for index in range(3))]
    by_id = {int(row["row_id"][0]): row for row in records.open(tmp_path / "r")}
    rows = [by_id[row_id] for row_id in ids]
    assert [int(row["attention_mask"].sum()) for row in rows] == [6, 4, 6, 5]
    assert rows[1]["word_ids"].tolist() == [0, 0, 2, 0, 0, 0]  # [MASK] of the text, then a
    assert rows[1]["masked_lm_positions"].tolist() == [2]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"seq_length": 2}, r"seq_length must be in \[3, 67108864\], got 2"),
        ({"seq_length": 16.0}, r"seq_length must be an integer, got 16\.0"),
        ({"mask_epochs": -1}, r"mask_epochs must be in \[0, 2\*\*31\), got -1"),
        ({"vocab_size": 10}, "vocab_size must be >= 32, got 10"),
        ({"num_shards": 0}, r"num_shards must be in \[1, 99999\], got 0"),
        ({"num_shards": 10**5}, r"num_shards must be in \[1, 99999\], got 100000"),
        ({"workers": 0}, r"workers must be in \[1, 4096\), got 0"),
        ({"bins": ()}, "bins must be"),
        (
            {"bins": (32, 64), "seq_length": 128},
            "seq_length must be left out, or 64, the longest of bins, got 128; rows are as long as",
        ),
        ({"bins": (64, 32)}, "bins must be"),
        ({"pairs": "both"}, "pairs must be"),
        ({"pairs": "sop", "seq_length": 4}, r"seq_length must be in \[5, 67108864\], got 4"),
        ({"pairs": "nsp", "pack": True}, "pack must be False with pairs"),
        ({"short_seq_prob": 1.5}, "short_seq_prob must be"),
        ({"dupe_factor": 0}, r"dupe_factor must be in \[1, 2\*\*31\), got 0"),
        ({"schema": "albert"}, "schema must be maskcore or bert, got 'albert'"),
        ({"layout": "small"}, "layout must be int64 or compact, got 'small'"),
        ({"file_format": "csv"}, "file_format must be tfrecord or parquet, got 'csv'"),
        ({"file_format": "parquet", "layout": "compact"}, "layout must be int64 with file_format"),
        ({"on_bad_text": "ignore"}, "on_bad_text must be"),
        ({"text_format": "xml"}, "text_format must be"),
        ({"mask": 0.15}, r"mask must be a MaskConfig, got 0\.15"),
    ],
)
def test_bad_arguments_are_named(corpus, tmp_path, arguments, problem):
    with pytest.raises((ValueError, TypeError), match=problem):
        records.build(corpus, tmp_path / "r", **arguments)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"masking_ratio": 1.5}, r"masking_ratio must be in \(0, 1\], got 1\.5"),
        ({"masking_ratio": 0}, r"masking_ratio must be in \(0, 1\], got 0"),
        ({"masking_ratio": float("nan")}, "masking_ratio must be in"),
        ({"masking_ratio": None}, "masking_ratio must be a number"),
        ({"max_n": 0}, r"max_n must be in \[1, 255\], got 0"),
        ({"max_n": 10**9}, r"max_n must be in \[1, 255\], got 1000000000"),
        ({"seed": -1}, r"seed must be in \[0, 2\*\*63\), got -1"),
        ({"seed": 2**63}, r"seed must be in \[0, 2\*\*63\), got 9223372036854775808"),
        ({"seed": None}, "seed must be an integer, got None"),
        ({"mask_unit": "phrase"}, "mask_unit must be word or token, got 'phrase'"),
        ({"max_predictions": 0}, r"max_predictions must be in \[1, 2\*\*31\), got 0"),
        ({"ngram_weights": (1, 2)}, "ngram_weights must be max_n = 3 numbers, got 2 numbers"),
        ({"ngram_weights": (0, 0, 0)}, "ngram_weights must be weights with a positive sum"),
    ],
)
def test_bad_mask_configurations_are_named(arguments, problem):
    with pytest.raises((ValueError, TypeError), match=problem):
        MaskConfig(**arguments)


@pytest.mark.parametrize("weights", [None, (0.1, 0.2, 0.7), (1, 0, Fraction(1, 3)), np.ones(3)])
def test_a_mask_configuration_survives_json(weights):
    config = MaskConfig(seed=2**63 - 1, ngram_weights=weights, masking_ratio=0.1 + 0.2)
    again = MaskConfig.from_json(json.loads(json.dumps(config.to_json())))
    assert again == config
    assert again.masking_ratio == 0.1 + 0.2
    row = np.ones(64, np.uint8)
    np.testing.assert_array_equal(
        maskcore.mask_positions(row, row_ids=5, **again.arguments()),
        maskcore.mask_positions(
            row, row_ids=5, seed=2**63 - 1, ngram_weights=weights, masking_ratio=0.1 + 0.2
        ),
    )


def test_a_mask_configuration_of_numpy_integers_survives_json():
    """They stayed what they were, and the manifest failed at the end of the build."""
    config = MaskConfig(seed=np.uint64(7), max_n=np.int8(2), max_predictions=np.int64(20))
    again = MaskConfig.from_json(json.loads(json.dumps(config.to_json())))
    assert again == config == MaskConfig(seed=7, max_n=2, max_predictions=20)


def test_importing_maskcore_loads_no_extra():
    code = (
        "import sys, maskcore, maskcore.records, maskcore.config\n"
        "heavy = {'tokenizers', 'rich', 'google_crc32c', 'tensorflow', 'numba'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    environment = {**os.environ, "MASKCORE_BACKEND": "reference"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_a_missing_library_is_named_with_its_pip_line(corpus, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r"tokenizers.*pip install 'maskcore\[build\]'"):
        records.build(corpus, tmp_path / "r")
