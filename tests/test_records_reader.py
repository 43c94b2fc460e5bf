# SPDX-License-Identifier: Apache-2.0
"""Reading back: the same rows from every layout and format, bins, and masks stored and derived."""

import shutil
import tracemalloc
from pydoc_data.topics import topics

import numpy as np
import pytest

from maskcore import allowed_ids, mask_tokens, records
from maskcore.records import MaskConfig, RecordsError
from maskcore.records.tokenising.tokenise import train_wordpiece

BINS = (16, 48, 300)
PAIRS = ("none", "sop", "nsp")
STORED_AS = {
    "int64": {},
    "compact": {"layout": "compact"},
    "parquet": {"file_format": "parquet"},
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Real prose: some documents are paragraphs, and some whole topics."""
    folder = tmp_path_factory.mktemp("corpus")
    names = sorted(topics)[:40]
    whole_topics = [
        "\n".join(line for line in topics[name].splitlines() if line.strip()) for name in names[:10]
    ]
    (folder / "a.txt").write_text("\n\n".join([topics[name] for name in names] + whole_topics))
    return folder


@pytest.fixture(scope="module")
def tokenizer(corpus, tmp_path_factory):
    """A tokenizer.json trained on the corpus."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_bytes(train_wordpiece([(corpus / "a.txt").read_text().split("\n")], 900).content)
    return path


@pytest.fixture(scope="module")
def build(corpus, tokenizer, tmp_path_factory):
    """A function that builds and opens; what was built once is opened again."""
    built = {}

    def build_and_open(**options):
        key = tuple(sorted(options.items()))
        if key not in built:
            out = tmp_path_factory.mktemp("built") / "r"
            options = {"mask": MaskConfig(seed=3), **options}
            records.build(corpus, out, tokenizer=tokenizer, num_shards=2, workers=1, **options)
            built[key] = out
        return records.open(built[key])

    return build_and_open


def whole(opened, seq_length):
    """Return all rows of a bin as columns."""
    batches = list(opened.batches(50, seq_length))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def bins_with_rows(opened):
    return sorted({shard.bin_length for shard in opened.manifest.shards if shard.records})


@pytest.mark.parametrize("pairs", PAIRS)
@pytest.mark.parametrize("stored_as", ["compact", "parquet"])
def test_every_form_holds_the_same_rows(build, pairs, stored_as):
    plain = build(pairs=pairs, bins=BINS, mask_epochs=2)
    other = build(pairs=pairs, bins=BINS, mask_epochs=2, **STORED_AS[stored_as])
    assert len(plain) == len(other) > 100
    for seq_length in BINS:
        expected, found = whole(plain, seq_length), whole(other, seq_length)
        assert found.keys() == expected.keys()
        for name, column in expected.items():
            assert found[name].dtype == np.int64
            np.testing.assert_array_equal(found[name], column, err_msg=name)


def test_packed_rows_are_the_same_in_every_form(build):
    plain, *others = (
        build(pack=True, bins=BINS, mask_epochs=1, **how) for how in STORED_AS.values()
    )
    assert whole(plain, 300)["segment_ids"].max() > 1
    for other in others:
        assert bins_with_rows(other) == bins_with_rows(plain)
        for seq_length in bins_with_rows(plain):
            expected, found = whole(plain, seq_length), whole(other, seq_length)
            assert found.keys() == expected.keys()
            for name, column in expected.items():
                np.testing.assert_array_equal(found[name], column, err_msg=name)


@pytest.mark.parametrize("shape", [*PAIRS, "packed"])
@pytest.mark.parametrize("stored_as", STORED_AS)
def test_stored_masks_are_the_derived_ones(build, shape, stored_as):
    options = (
        {"pack": True, "mask_epochs": 1}
        if shape == "packed"
        else {"pairs": shape, "mask_epochs": 2}
    )
    opened = build(bins=BINS, **options, **STORED_AS[stored_as])
    special = 2 if shape in ("none", "packed") else 3
    assert shape == "packed" or bins_with_rows(opened) == list(BINS)
    for seq_length in bins_with_rows(opened):
        columns = whole(opened, seq_length)
        for epoch in range(options["mask_epochs"]):
            stored, derived = opened.stored_masks(columns, epoch), opened.masks(columns, epoch)
            np.testing.assert_array_equal(stored.positions, derived.positions)
            np.testing.assert_array_equal(stored.weights, derived.weights)
            most = max(1, int(0.15 * (seq_length - special) + 0.5))
            assert stored.positions.shape == (len(columns["row_id"]), most)
            assert stored.weights.any()
            is_masked = opened.spans(columns, epoch) > 0
            np.testing.assert_array_equal(is_masked.sum(axis=1), stored.weights.sum(axis=1))
            assert not (is_masked & (columns["word_ids"] == 0)).any()


@pytest.mark.parametrize("mask_unit", ["word", "token"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"output": "positions", "seed": 2**63 - 1},
        {"replacement": (0.5, 0.5, 0), "ignore_index": -1},
    ],
    ids=["labels", "positions of another seed", "other shares"],
)
def test_masked_ids_are_those_of_the_kernel(build, mask_unit, options):
    """Expected is a call with all that docs/records.md says of masks."""
    opened = build(pairs="sop", bins=BINS, mask=MaskConfig(seed=3, mask_unit=mask_unit, max_n=2))
    special = opened.manifest.tokenizer.special_tokens
    allowed = allowed_ids(opened.manifest.tokenizer.vocab_size, {s.id for s in special.values()})
    for seq_length in BINS:
        columns = whole(opened, seq_length)
        words = columns["word_ids"]
        expected = mask_tokens(
            columns["input_ids"],
            words,
            mask_id=special["mask"].id,
            random_ids=allowed,
            word_ids=words - 1 if mask_unit == "word" else None,
            epoch=5,
            row_ids=columns["row_id"][:, 0],
            max_n=2,
            masking_ratio=0.15,
            max_predictions=max(1, int(0.15 * (seq_length - 3) + 0.5)),  # what a full row needs
            **{"seed": 3, **options},
        )
        found = opened.mask_tokens(columns, 5, **options)
        assert found._fields == expected._fields
        for got, wanted in zip(found, expected, strict=True):
            np.testing.assert_array_equal(got, wanted)
            assert got.dtype == wanted.dtype


def test_masks_do_not_depend_on_bins_or_form(build):
    """A row that lies in a longer bin elsewhere has the same mask."""
    binned, single = build(pairs="none", bins=BINS, mask_epochs=2), build(seq_length=300)
    of_row = {}
    for columns in single.batches(100):
        spans = single.spans(columns, 1)
        for row, row_id in enumerate(columns["row_id"][:, 0].tolist()):
            of_row[row_id] = spans[row]
    columns = whole(binned, 48)
    for row_id, spans in zip(
        columns["row_id"][:, 0].tolist(), binned.spans(columns, 1), strict=True
    ):
        np.testing.assert_array_equal(of_row[row_id][:48], spans)
        assert not of_row[row_id][48:].any()


def test_rows_of_several_bins_have_their_own_lengths(build):
    opened = build(pairs="none", bins=BINS, mask_epochs=2)
    lengths = [len(row["input_ids"]) for row in opened]
    assert set(lengths) == set(BINS)
    assert len(lengths) == len(opened) == opened.manifest.num_rows
    for seq_length in BINS:
        files = opened.files(seq_length)
        assert [name.endswith(f"-L{seq_length}.tfrecord") for name in files] == [True, True]
        rows = sum(len(batch["row_id"]) for batch in opened.batches(7, seq_length))
        assert rows == lengths.count(seq_length)
        assert all(
            batch["input_ids"].shape[1] == seq_length for batch in opened.batches(7, seq_length)
        )
    assert sorted(opened.files()) == sorted(f for n in BINS for f in opened.files(n))
    with pytest.raises(
        ValueError, match="seq_length must be one of 16, 48, 300, got 64; None takes"
    ):
        opened.batches(7, 64)
    with pytest.raises(ValueError, match="seq_length must be one of 16, 48, 300, got 0"):
        opened.files(0)


@pytest.mark.parametrize("stored_as", STORED_AS)
@pytest.mark.parametrize("seq_length", [None, 48])
def test_a_part_of_the_rows_is_a_slice_of_all(build, stored_as, seq_length):
    opened = build(pairs="none", bins=BINS, mask_epochs=2, **STORED_AS[stored_as])
    shards = [s for s in opened.manifest.shards if seq_length in (None, s.bin_length)]
    in_files = [shard.records for shard in shards]
    total = sum(in_files)
    row_ids = [i for batch in opened.batches(64, seq_length) for i in batch["row_id"][:, 0]]
    bounds = {0, 1, 63, 64, 65, total - 1, total, total + 1}  # about a batch, and the end
    bounds |= {in_files[0] - 1, in_files[0], in_files[0] + 1}  # about the end of a file
    for start in sorted(bounds):
        for stop in [*sorted(bounds), None]:
            batches = list(opened.batches(64, seq_length, start=start, stop=stop))
            found = [i for batch in batches for i in batch["row_id"][:, 0]]
            assert found == row_ids[start:stop], (start, stop)
            sizes = [len(column) for batch in batches for column in batch.values()]
            assert all(1 <= size <= 64 for size in sizes)


def test_files_without_a_row_of_the_part_are_not_opened(build, tmp_path):
    opened = build(seq_length=300)
    folder = tmp_path / "r"
    shutil.copytree(opened.folder, folder)
    first, second = records.open(folder).manifest.shards
    damaged = folder / second.file
    damaged.write_bytes(bytes(second.bytes))
    opened = records.open(folder)
    rows = sum(len(batch["row_id"]) for batch in opened.batches(9, stop=first.records))
    assert rows == first.records
    damaged.unlink()
    assert list(opened.batches(9, start=first.records + second.records)) == []
    with pytest.raises(FileNotFoundError):
        list(opened.batches(9, stop=first.records + 1))


@pytest.mark.parametrize(
    ("argument", "remedy"), [("start", "the number of a row"), ("stop", "end")]
)
def test_rows_are_numbered_from_0_on(build, argument, remedy):
    with pytest.raises(
        ValueError, match=rf"{argument} must be in \[0, 2\*\*63\), got -1; .*{remedy}"
    ):
        build(seq_length=300).batches(9, **{argument: -1})


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batches_are_not_empty(build, batch_size):
    with pytest.raises(ValueError, match=r"batch_size must be in \[1, 2\*\*31\)"):
        build(seq_length=300).batches(batch_size)


@pytest.mark.parametrize("file_format", ["tfrecord", "parquet"])
def test_rows_of_schema_bert_are_masked_already(build, file_format):
    """What the masks hide is in `masked_lm_ids`; put back, it is the row of our own schema."""
    options = {"pairs": "sop", "bins": BINS, "dupe_factor": 2}
    ours = build(**options)
    bert = build(**options, schema="bert", file_format=file_format)
    assert len(ours) == len(bert)
    for seq_length in BINS:
        expected, columns = whole(ours, seq_length), whole(bert, seq_length)
        assert columns["masked_lm_weights"].dtype == np.float32
        masks = bert.stored_masks(columns, 0)
        np.testing.assert_array_equal(masks.positions, ours.masks(expected, 0).positions)
        np.testing.assert_array_equal(masks.weights, ours.masks(expected, 0).weights)
        restored = columns["input_ids"].copy()
        row, slot = np.nonzero(masks.weights)
        restored[row, masks.positions[row, slot]] = columns["masked_lm_ids"][row, slot]
        np.testing.assert_array_equal(restored, expected["input_ids"])
        assert (restored != columns["input_ids"]).any()
        np.testing.assert_array_equal(columns["input_mask"], expected["attention_mask"])
        np.testing.assert_array_equal(columns["segment_ids"], expected["token_type_ids"])
        np.testing.assert_array_equal(
            columns["next_sentence_labels"], expected["next_sentence_labels"]
        )
    with pytest.raises(RecordsError, match="'bert' are masked already; use stored_masks"):
        bert.masks(columns)
    with pytest.raises(RecordsError, match="'bert' are masked already; use stored_masks"):
        bert.mask_tokens(columns)
    with pytest.raises(ValueError, match=r"seed must be in \[0, 2\*\*63\), got -1"):
        ours.mask_tokens(expected, seed=-1)
    with pytest.raises(ValueError, match=r"epoch must be in \[0, 1\)"):
        bert.stored_masks(columns, 1)


def test_iterating_holds_a_part_of_a_file(build):
    """Some 4 MB of rows at a time, whatever the file's size."""
    opened = build(seq_length=300, dupe_factor=20)
    assert sum(shard.bytes for shard in opened.manifest.shards) > 32 << 20
    tracemalloc.start()
    num_rows = sum(1 for _ in opened)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert num_rows == len(opened)
    assert peak < 20 << 20
