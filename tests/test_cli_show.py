# SPDX-License-Identifier: Apache-2.0
"""`maskcore show` of bins, pairs, packed rows and rows of BERT's schema, and `train-tokenizer`."""

import json
import re

import numpy as np
import pytest
from test_cli import SENTENCES

from maskcore import records
from maskcore._cli import main
from maskcore.records.reporting.masked_rows import unmasked_rows
from maskcore.records.tokenising.tokenise import load_tokeniser, train_wordpiece


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus of thirty documents, and a tokenizer of its sentences."""
    path = tmp_path_factory.mktemp("show")
    text = "\n\n".join("\n".join(SENTENCES[: 1 + i % 3]) for i in range(30))
    (path / "corpus.txt").write_text(text)
    (path / "t.json").write_bytes(train_wordpiece([SENTENCES], 64).content)
    return path


def build(folder, name, **options):
    """Build the corpus once and return the folder of the records."""
    out = folder / name
    if not out.exists():
        records.build(folder / "corpus.txt", out, tokenizer=folder / "t.json", **options)
    return out


def shown(capsys, *arguments):
    """Return what `maskcore show` prints, white space as single spaces."""
    assert main(["show", *map(str, arguments)]) == 0
    return " ".join(capsys.readouterr().out.split())


def text_of(out, row):
    """Return a row's tokens from its ids, and nothing else of the records."""
    rule = load_tokeniser(out / "tokenizer.json").rule
    return " ".join(rule.text(row["input_ids"][row["attention_mask"] > 0].tolist()).split())


def without_marks(output):
    return re.sub("[⟦⟧]", "", output)


def test_rows_of_each_bin_are_shown(folder, capsys):
    out = build(folder, "bins", bins=(16, 32))
    output = shown(capsys, out, "-n", "1")
    opened = records.open(out)
    for length in (16, 32):
        row = {name: column[0] for name, column in next(opened.batches(1, length)).items()}
        used = int(row["attention_mask"].sum())
        assert f"row 0 id {row['row_id'][0]}, {used} of {length} tokens" in output
        assert text_of(out, row) in without_marks(output)
    assert output.count("row 0 ") == 2
    assert f"masks of epoch 0 {len(opened)} of {len(opened)} rows" in output


def test_pairs_are_shown_with_their_labels(folder, capsys):
    out = build(folder, "pairs", pairs="sop", seq_length=24)
    output = shown(capsys, out, "-n", "99")
    meanings = ["label 0: segments in their order", "label 1: segments swapped"]
    labels = [int(row["next_sentence_labels"][0]) for row in records.open(out)]
    assert [output.count(meaning) for meaning in meanings] == [labels.count(0), labels.count(1)]
    assert min(labels.count(0), labels.count(1)) > 0
    assert output.count("[SEP]") == 2 * len(labels)


def test_packed_rows_are_shown_with_their_documents(folder, capsys):
    out = build(folder, "packed", pack=True, seq_length=48)
    output = shown(capsys, out, "-n", "99")
    counts = [int(row["segment_ids"].max()) for row in records.open(out)]
    assert max(counts) > 1
    for count in set(counts):
        noun = "document" if count == 1 else "documents"
        assert len(re.findall(rf"masked, {count} {noun} ", output)) == counts.count(count)


def test_rows_of_the_bert_schema_are_those_of_the_maskcore_schema(folder):
    """One corpus in both schemas: what `unmasked_rows` gives back is what the other holds."""
    options = {"pairs": "nsp", "seq_length": 24}
    opened = [records.open(build(folder, f"nsp-{schema}", schema=schema, **options))
              for schema in ("bert", "maskcore")]  # fmt: skip
    special = opened[0].manifest.tokenizer.special_tokens
    bert, rows = (next(each.batches(1000)) for each in opened)
    columns, spans = unmasked_rows(bert, special, has_labels=True)
    for name in ("input_ids", "attention_mask", "token_type_ids", "next_sentence_labels"):
        assert np.array_equal(columns[name], rows[name]), name
    assert np.array_equal(columns["word_ids"] > 0, rows["word_ids"] > 0)
    drawn = opened[1].spans(rows, 0)
    assert np.array_equal(spans > 0, drawn > 0)
    assert (bert["input_ids"] != rows["input_ids"]).any()  # [MASK]
    for row in spans.tolist():
        numbers = [number for number in row if number]
        assert sorted(numbers) == numbers
        assert set(numbers) == set(range(1, len(set(numbers)) + 1))


def test_masked_tokens_side_by_side_are_one_span():
    special = {"cls": records.manifest.SpecialToken("[CLS]", 1), "unk": records.manifest.SpecialToken("[UNK]", 9)}  # fmt: skip
    columns = {
        "input_ids": np.array([[1, 4, 4, 7, 4, 9, 0]]),
        "input_mask": np.array([[1, 1, 1, 1, 1, 1, 0]]),
        "segment_ids": np.zeros((1, 7), np.int64),
        "masked_lm_positions": np.array([[1, 2, 4, 0]]),
        "masked_lm_ids": np.array([[5, 6, 8, 0]]),
        "masked_lm_weights": np.array([[1, 1, 1, 0]], np.float32),
        "next_sentence_labels": np.array([[0]]),
    }
    rows, spans = unmasked_rows(columns, special, has_labels=False)
    assert rows["input_ids"].tolist() == [[1, 5, 6, 7, 8, 9, 0]]
    assert spans.tolist() == [[0, 1, 1, 0, 2, 0, 0]]
    assert (rows["word_ids"] > 0).tolist() == [[False, True, True, True, True, True, False]]
    assert "next_sentence_labels" not in rows


def test_show_of_the_bert_schema(folder, capsys):
    out = build(folder, "nsp-bert", schema="bert", pairs="nsp", seq_length=24)
    output = shown(capsys, out, "-n", "2")
    assert "[MASK]" not in output and "⟦" in output
    assert "label " in output and "id " not in output.split("masks of epoch")[0]
    assert "Rows of schema bert are masked already" in output
    assert main(["show", str(out), "--epoch", "1"]) == 2
    assert "--epoch must be 0 for rows of schema bert, got 1" in capsys.readouterr().err


def test_report_of_the_bert_schema_counts_the_same_masks(folder, capsys):
    """Made again it is the build's; without that it knows no words, but counts all else alike."""
    out = build(folder, "nsp-bert", schema="bert", pairs="nsp", seq_length=24)
    of_build = (out / "report.json").read_bytes()
    assert main(["report", str(out)]) == 0
    assert (out / "report.json").read_bytes() == of_build
    before = json.loads(of_build)
    (out / "report.json").unlink()
    assert main(["report", str(out)]) == 0
    after = json.loads((out / "report.json").read_text())
    assert (before["masks"]["span_unit"], after["masks"]["span_unit"]) == ("word", "token")
    assert after["masks"]["spans"][0]["expected"] is None
    for name in ("records", "counts", "labels", "options"):
        assert after[name] == before[name], name
    for name in ("rate", "masked_in_a_row", "top_tokens", "sampled_rows"):
        assert after["masks"][name] == before["masks"][name], name
    assert after["bins"] == before["bins"]


@pytest.mark.parametrize(
    ("kind", "name", "rule"),
    [("wordpiece", "t.json", "wordpiece"), ("byte-bpe", "b.json", "byte-level"), ("unigram", "t.model", "metaspace")],
)  # fmt: skip
def test_a_trained_tokenizer_builds_records(folder, tmp_path, capsys, *, kind, name, rule):
    if kind == "unigram":
        pytest.importorskip("sentencepiece", reason="unigram models are SentencePiece's")
    out = tmp_path / name
    command = ["train-tokenizer", str(folder / "corpus.txt"), "--out", str(out), "--kind", kind,
               "--vocab-size", "300" if kind == "byte-bpe" else "60"]  # fmt: skip
    assert main(command) == 0
    captured = capsys.readouterr()
    assert captured.err == "learning the vocabulary ...\n"
    size = load_tokeniser(out).vocab_size
    assert f"  tokenizer  {kind}, {size} entries\n" in captured.out
    assert f"--tokenizer {out} --out DIR" in captured.out
    assert main(command) == 2
    assert "exists; pass overwrite (--overwrite) to replace it" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0
    made = records.build(folder / "corpus.txt", tmp_path / "r", tokenizer=out, seq_length=32)
    assert made.tokenizer.word_rule == rule
