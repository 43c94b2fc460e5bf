# SPDX-License-Identifier: Apache-2.0
"""report.json against a plain count of the records, and report.html as a page that stands alone."""

import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser

import pytest
from test_records_words import KOREAN

from maskcore import records
from maskcore.records.reporting.report import write_report
from maskcore.records.tokenising.tokenise import load_tokeniser

SENTENCES = [
    "The cat sat on the mat.",
    "A dog barked at the cat & ran.",
    "Then <script>alert('x')</script> was written on the mat, \"quoted\" & all.",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Rows of an English and a Korean file, one of which looks like HTML by its name, too."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "corpus").mkdir()
    text = "\n\n".join("\n".join(SENTENCES[: 1 + i % 3]) for i in range(30))
    (folder / "corpus" / "<b>&.txt").write_text(text)
    (folder / "corpus" / "ko.txt").write_text("\n".join(KOREAN), encoding="utf-8")
    mask = records.MaskConfig(seed=3)
    records.build(folder / "corpus", folder / "records", seq_length=24, mask=mask, vocab_size=300)
    write_report(folder / "records")
    return folder / "records"


@pytest.fixture(scope="module")
def figures(built):
    return json.loads((built / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(built):
    return (built / "report.html").read_text(encoding="utf-8")


def count_by_hand(folder):
    """Count the records one token at a time."""
    opened = records.open(folder)
    unk_id = opened.manifest.tokenizer.special_tokens["unk"].id
    found = Counter()
    for row in opened:
        columns = {name: column[None] for name, column in row.items()}
        spans = opened.spans(columns, 0)[0].tolist()
        words = row["word_ids"].tolist()
        used = sum(row["attention_mask"].tolist())
        found["rows"] += 1
        found["tokens"] += used
        found["padding"] += 24 - used
        found["length", used] += 1
        for place, token in enumerate(row["input_ids"].tolist()):
            found["unknown"] += token == unk_id
            found["maskable", place] += words[place] > 0
            found["masked", place] += spans[place] > 0
            found["masked"] += spans[place] > 0
            found["token", token] += spans[place] > 0
        for number in range(1, max(spans) + 1):
            masked = {words[place] for place in range(24) if spans[place] == number}
            found["span", len(masked)] += 1
            found["spans"] += 1
    return found


def test_figures_equal_a_plain_count(built, figures):
    found = count_by_hand(built)
    assert found["rows"] > 40
    assert figures["records"] == {
        "rows": found["rows"],
        "tokens": found["tokens"],
        "padding": found["padding"],
        "padding_share": round(found["padding"] / (24 * found["rows"]), 6),
        "unknown_tokens": found["unknown"],
        "shards": len(list(built.glob("part-*"))),
        "bytes": sum(path.stat().st_size for path in built.glob("part-*")),
    }
    (only,) = figures["bins"]
    assert [(cell["first"], cell["last"], cell["rows"]) for cell in only["rows_by_length"]] == [
        (length, length, found["length", length]) for length in range(1, 25)
    ]
    assert [
        (cell["first"], cell["maskable"], cell["masked"]) for cell in only["masks_by_place"]
    ] == [(place, found["maskable", place], found["masked", place]) for place in range(24)]
    assert only["masks_by_place"][0]["rate"] is None  # [CLS]
    masks = figures["masks"]
    maskable = sum(found["maskable", place] for place in range(24))
    assert masks["rate"] == round(found["masked"] / maskable, 6)
    assert [(span["units"], span["share"]) for span in masks["spans"]] == [
        (units, round(found["span", units] / found["spans"], 6)) for units in (1, 2, 3)
    ]
    assert abs(sum(span["expected"] for span in masks["spans"]) - 1) < 1e-5
    shares = {token["id"]: token["share"] for token in masks["top_tokens"]}
    most = max(found["token", token] for token in range(300))
    assert max(shares.values()) == round(most / found["masked"], 6)
    for token, share in shares.items():
        assert share == round(found["token", token] / found["masked"], 6)
    assert figures["labels"] == []


def test_sample_rows_hold_the_text_of_the_rows(built, figures):
    opened = records.open(built)
    rule = load_tokeniser(built / opened.manifest.tokenizer.file).rule
    rows = {int(row["row_id"][0]): row for row in opened}
    assert [row["row_id"] for row in figures["sample_rows"]] == sorted(rows)[:8]
    for shown in figures["sample_rows"]:
        row = rows[shown["row_id"]]
        used = int(row["attention_mask"].sum())
        assert (shown["tokens"], shown["label"]) == (used, None)
        text = "".join(part["text"] for part in shown["parts"] if not part["special"])
        assert text == rule.text(row["input_ids"][1 : used - 1].tolist())
        ends = [part["text"] for part in shown["parts"] if part["special"]]
        assert ends == [" [CLS]", " [SEP]"]


def test_the_same_records_give_the_same_bytes(built, tmp_path):
    """Also from another folder, and with the old report gone."""
    shutil.copytree(built, tmp_path / "elsewhere")
    names = ("report.json", "report.html")
    before = [(built / name).read_bytes() for name in names]
    for name in names:
        (tmp_path / "elsewhere" / name).unlink()
    assert write_report(tmp_path / "elsewhere") == tmp_path / "elsewhere" / "report.html"
    assert [(tmp_path / "elsewhere" / name).read_bytes() for name in names] == before
    assert not list((tmp_path / "elsewhere").glob("*.tmp"))


FORMS = {
    "bins": {"seq_length": None, "bins": (16, 48), "pairs": "sop", "layout": "compact"},
    "packed": {"pack": True, "mask_epochs": 2},
    "bert": {"schema": "bert", "pairs": "nsp", "dupe_factor": 2},
    "bert parquet": {
        "schema": "bert",
        "file_format": "parquet",
        "mask": records.MaskConfig(max_n=1),
    },
}


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A function that builds in a folder of its own, with the report that the build made."""

    def build(**options):
        folder = tmp_path_factory.mktemp("reported")
        text = "\n\n".join("\n".join(SENTENCES[: 1 + i % 3]) for i in range(30))
        (folder / "a.txt").write_text(text)
        records.build(
            folder / "a.txt", folder / "r", vocab_size=300, **({"seq_length": 24} | options)
        )
        return folder / "r"

    return build


def contents(folder):
    return [(folder / name).read_bytes() for name in ("report.json", "report.html")]


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_a_report_made_again_is_that_of_the_build(build, options):
    """Rows of schema "bert" hold no words, so their spans came out in tokens."""
    folder = build(**options)
    before = contents(folder)
    assert json.loads(before[0])["masks"]["span_unit"] == "word"
    (folder / "report.html").unlink()
    write_report(folder)
    assert contents(folder) == before


def test_without_the_report_of_the_build_spans_of_bert_rows_are_in_tokens(build):
    folder = build(schema="bert", pairs="sop")
    of_build = json.loads((folder / "report.json").read_bytes())
    for damage in ("", "[]", "{", json.dumps({**of_build, "labels": []})):
        (folder / "report.json").write_text(damage)
        write_report(folder)
        found = json.loads((folder / "report.json").read_bytes())
        assert found["masks"]["span_unit"] == "token"
        assert {span["expected"] for span in found["masks"]["spans"]} == {None}
        assert found["labels"] == of_build["labels"]


VOID = {"meta", "link", "img", "br"}


class Strict(HTMLParser):
    """Raises where elements are not closed in order; keeps text, and what would be fetched or run."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.words = [], set(), []

    def handle_starttag(self, tag, attributes):
        assert not {name for name, _ in attributes} & {"src", "href", "onload", "onclick"}, tag
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_is_well_formed_and_stands_alone(page):
    parser = Strict()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    assert not parser.tags & {"script", "link", "img", "iframe"}
    assert not re.search(r"https?://|//[a-z]|url\(|@import", page)
    assert page.startswith("<!DOCTYPE html>")
    assert "prefers-color-scheme: dark" in page and "width=device-width" in page


def test_text_of_the_corpus_is_escaped(page):
    parser = Strict()
    parser.feed(page)
    text = "".join(parser.words)
    assert "<b>&.txt" in text
    assert "<b>&" not in page and "&lt;b&gt;&amp;.txt" in page
    assert re.search(r"&lt;</mark>|&lt; ", page)
    assert "<script" not in page


def test_the_page_shows_the_figures(page, figures):
    parser = Strict()
    parser.feed(page)
    text = " ".join("".join(parser.words).split())
    assert f"{figures['records']['rows']} training rows" in text
    assert f"{100 * figures['records']['padding_share']:.1f}%padding" in text
    assert f"{100 * figures['masks']['rate']:.2f}%masked" in text
    without_spaces = "".join(text.split())
    for row in figures["sample_rows"]:
        row_text = "".join(part["text"] for part in row["parts"])
        assert "".join(row_text.split()) in without_spaces
    assert re.search("[가-힣]{2}", without_spaces)
    assert page.count("<article") == 8
    masked = sum(bool(part["span"]) for row in figures["sample_rows"] for part in row["parts"])
    assert page.count("<mark") == masked + 2  # two stand in the legend


def test_a_folder_that_holds_no_records_is_refused(tmp_path):
    with pytest.raises(records.RecordsError, match=r"no MANIFEST\.json"):
        write_report(tmp_path)


def test_another_tokenizer_is_refused(built, tmp_path):
    shutil.copytree(built, tmp_path / "copy")
    path = tmp_path / "copy" / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace("mat", "tam"), encoding="utf-8")
    with pytest.raises(
        records.RecordsError, match="not the tokenizer that the records were made with"
    ):
        write_report(tmp_path / "copy")
