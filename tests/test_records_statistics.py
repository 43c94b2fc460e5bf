# SPDX-License-Identifier: Apache-2.0
"""What is counted about rows: against a plain loop, and the same for any division of the rows."""

import json
from collections import Counter

import numpy as np
import pytest

import maskcore
from maskcore.config import MaskConfig
from maskcore.records.reporting import mask_statistics
from maskcore.records.reporting.mask_statistics import MaskCounts, MaskSample, expected_shares
from maskcore.records.reporting.statistics import Statistics

MASK = MaskConfig(seed=5, max_n=3, max_predictions=6)
UNKNOWN = 3


def make_columns(num_rows, seq_length, seed, has_pairs=False):
    """Rows of random lengths and words; ids below 5 are special."""
    rng = np.random.default_rng(seed)
    place = np.arange(seq_length)
    used = rng.integers(3, seq_length + 1, (num_rows, 1))
    is_text = (place > 0) & (place < used - 1)
    starts = is_text & ((rng.random((num_rows, seq_length)) < 0.6) | (place == 1))
    ids = np.where(is_text, rng.integers(5, 50, (num_rows, seq_length)), 0)
    ids[(rng.random(ids.shape) < 0.1) & is_text] = UNKNOWN
    columns = {
        "attention_mask": (place < used).astype(np.int64),
        "input_ids": ids,
        "row_id": rng.integers(0, 2**63, (num_rows, 1)),
        "token_type_ids": np.zeros_like(ids),
        "word_ids": np.where(is_text, np.cumsum(starts, axis=1), 0),
    }
    if has_pairs:
        columns["next_sentence_labels"] = rng.integers(0, 2, (num_rows, 1))
        columns["segment_ids"] = np.where(place < used, 1 + (place > used // 2), 0)
    return columns


def count_by_hand(columns):
    """Count rows one token at a time."""
    found = Counter()
    spans_of = maskcore.mask_spans(
        columns["word_ids"] > 0,
        word_ids=columns["word_ids"] - 1,
        row_ids=columns["row_id"][:, 0],
        **MASK.arguments(),
    )
    for row, spans in enumerate(spans_of.tolist()):
        ids, words = columns["input_ids"][row].tolist(), columns["word_ids"][row].tolist()
        used = sum(columns["attention_mask"][row].tolist())
        found["rows"] += 1
        found["tokens"] += used
        found["length", used] += 1
        units_of_span = {}
        for place, token in enumerate(ids):
            found["unknown"] += token == UNKNOWN
            found["maskable", place] += words[place] > 0
            if spans[place]:
                found["masked", place] += 1
                found["token", token] += 1
                units_of_span.setdefault(spans[place], set()).add(words[place])
        for units in units_of_span.values():
            found["span", len(units)] += 1
        if "next_sentence_labels" in columns:
            found["label", int(columns["next_sentence_labels"][row, 0])] += 1
            found["segments"] += max(columns["segment_ids"][row].tolist())
    return found


def values(found, name, size, first=0):
    """Return one histogram of `count_by_hand`."""
    return [found[name, place] for place in range(first, first + size)]


# 64 and 65 places are the last that have a cell each and the first that share one.
@pytest.mark.parametrize("seq_length", [3, 16, 63, 64])
def test_counts_equal_those_of_a_plain_loop(seq_length):
    columns = make_columns(300, seq_length, seed=seq_length, has_pairs=True)
    statistics = Statistics(UNKNOWN)
    statistics.add(columns, MASK)
    found = count_by_hand(columns)
    counted = statistics.bins[seq_length]
    masks = counted.sample.counts()
    assert (counted.rows, counted.tokens) == (300, found["tokens"])
    assert counted.padding == 300 * seq_length - found["tokens"]
    assert counted.unknown_tokens == found["unknown"]
    assert counted.lengths.tolist() == values(found, "length", seq_length, first=1)
    assert counted.labels.tolist() == values(found, "label", 2)
    assert counted.segments == found["segments"]
    assert masks.maskable.tolist() == values(found, "maskable", seq_length)
    assert masks.masked.tolist() == values(found, "masked", seq_length)
    assert masks.span_lengths.tolist() == values(found, "span", len(masks.span_lengths))
    assert masks.tokens.tolist() == values(found, "token", len(masks.tokens))
    assert masks.span_lengths.sum() > 250


def test_long_rows_share_cells():
    columns = make_columns(50, 130, seed=1)
    statistics = Statistics(UNKNOWN)
    statistics.add(columns, MASK)
    found = count_by_hand(columns)
    expected = [0] * 64
    for place in range(130):
        expected[place * 64 // 130] += found["masked", place]
    assert statistics.bins[130].sample.counts().masked.tolist() == expected


def test_spans_of_tokens_are_counted_in_tokens():
    columns = {"input_ids": np.full((1, 9), 7), "word_ids": np.array([[0, 1, 1, 1, 2, 3, 3, 4, 0]])}
    spans = np.array([[0, 1, 1, 1, 2, 2, 2, 0, 0]], np.int32)
    by_unit = {}
    for unit in ("word", "token"):
        counts = MaskCounts()
        counts.add(columns, spans, unit)
        by_unit[unit] = counts.span_lengths.tolist()
    assert by_unit == {"word": [0, 1, 1], "token": [0, 0, 0, 2]}


def divided(columns, cuts):
    """Return the rows in parts."""
    parts = np.split(np.arange(len(columns["row_id"])), cuts)
    return [{name: column[part] for name, column in columns.items()} for part in parts]


@pytest.mark.parametrize("seed", range(5))
def test_any_division_of_the_rows_gives_the_same_bytes(monkeypatch, seed):
    """Also where the sample is full many times over: batches, units, their order and JSON."""
    monkeypatch.setattr(mask_statistics, "MAX_SAMPLED_ROWS", 64)
    short, long = make_columns(700, 16, seed), make_columns(900, 32, seed + 100, has_pairs=True)
    whole = Statistics(UNKNOWN)
    whole.add(short, MASK)
    whole.add(long, MASK)
    rng = np.random.default_rng(seed)
    batches = []
    for columns in (short, long):
        num_rows = len(columns["row_id"])
        order = rng.permutation(num_rows)
        shuffled = {name: column[order] for name, column in columns.items()}
        batches += divided(shuffled, np.sort(rng.integers(0, num_rows, 9)))
    units = [Statistics(UNKNOWN) for _ in range(4)]
    for batch in rng.permutation(len(batches)).tolist():
        units[rng.integers(4)].add(batches[batch], MASK)
    merged = Statistics(UNKNOWN)
    for unit in units:
        merged.merge(Statistics.from_json(json.loads(json.dumps(unit.to_json()))))
    assert json.dumps(merged.to_json()) == json.dumps(whole.to_json()), f"seed {seed}"
    sampled = merged.bins[32].sample.counts().rows
    assert 16 <= sampled <= 64
    assert merged.bins[32].sample.lowest_level >= 3
    assert merged.bins[32].rows == 900


def test_the_sample_holds_the_rows_of_the_highest_levels(monkeypatch):
    """Ids with 0 to 4 zero bits at their end; 0 itself is as high as an id can be."""
    monkeypatch.setattr(mask_statistics, "MAX_SAMPLED_ROWS", 4)
    sample = MaskSample()
    row_ids = np.array([1, 2, 3, 4, 5, 6, 7, 8, 16, 0])
    chosen, levels = sample.choose(row_ids)
    assert row_ids[chosen].tolist() == [4, 8, 16, 0]
    assert levels.tolist() == [2, 3, 4, 62]


def test_sample_rows_are_those_of_the_smallest_ids():
    columns = make_columns(100, 16, seed=2, has_pairs=True)
    statistics = Statistics()
    for part in divided(columns, [1, 4, 50]):
        statistics.add(part, MASK)
    rows = statistics.bins[16].sample_rows
    ids = sorted(columns["row_id"][:, 0].tolist())
    assert [row.row_id for row in rows] == ids[:8]
    place = columns["row_id"][:, 0].tolist().index(ids[3])
    used = int(columns["attention_mask"][place].sum())
    assert rows[3].input_ids == columns["input_ids"][place, :used].tolist()
    assert rows[3].label == columns["next_sentence_labels"][place, 0]
    assert rows[3].segment_ids == columns["segment_ids"][place, :used].tolist()
    assert any(row.spans.count(0) < len(row.spans) for row in rows)


def test_nothing_is_nothing():
    statistics = Statistics()
    statistics.add(make_columns(0, 16, seed=0), MASK)
    assert statistics.bins[16].rows == 0
    assert Statistics.from_json(statistics.to_json()).to_json() == statistics.to_json()


def test_sentences_and_documents_by_doubling():
    statistics = Statistics()
    lengths = np.array([1, 2, 3, 4, 7, 8, 1023, 1024])
    statistics.add_documents(lengths, np.array([2, 0, 5, 1]))
    statistics.add_documents(np.zeros(0, np.int64), np.zeros(0, np.int64))
    fields = statistics.to_json()
    assert fields["sentence_tokens"] == [0, 1, 2, 2, 1, 0, 0, 0, 0, 0, 1, 1]
    # 3, 0, 1,045 and 1,024 tokens
    assert fields["document_tokens"] == [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2]


def test_expected_shares_are_those_of_the_algorithm_document():
    """126 tokens without words, 19 of them masked: section 10 counts 0.578, 0.268 and 0.154."""
    counts = MaskCounts(rows=1, span_lengths=np.array([0, 19]))
    shares = [round(share, 3) for share in expected_shares(MASK, counts)]
    assert shares == [0.574, 0.269, 0.157]
    tens = MaskConfig(max_n=10)
    shares = [round(share, 2) for share in expected_shares(tens, counts)]
    assert shares[:3] == [0.36, 0.19, 0.13]


def test_realised_spans_of_words_agree_with_the_expected_ones():
    num_rows, seq_length = 2048, 128
    place = np.arange(seq_length)
    is_text = (place > 0) & (place < seq_length - 1)
    words = np.where(is_text, (place + 1) // 2, 0)  # words of two tokens
    columns = {
        "attention_mask": np.ones((num_rows, seq_length), np.int64),
        "input_ids": np.tile(place, (num_rows, 1)),
        "row_id": np.arange(num_rows)[:, None],
        "token_type_ids": np.zeros((num_rows, seq_length), np.int64),
        "word_ids": np.tile(words, (num_rows, 1)),
    }
    statistics = Statistics()
    statistics.add(columns, MaskConfig(max_predictions=19))
    counts = statistics.bins[seq_length].sample.counts()
    realised = counts.span_lengths[1:] / counts.span_lengths.sum()
    assert counts.rows == 2048
    expected = expected_shares(MaskConfig(), counts)
    assert np.abs(realised - expected).max() < 0.02
