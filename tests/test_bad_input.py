# SPDX-License-Identifier: Apache-2.0
"""Bad input gives one clear error, the same on every backend: argument, constraint, value received, way out.

Owns the texts, word for word, in tables that make the file long. Input that looks odd but is right is tested in test_contract_arrays.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

import maskcore

NAN, INF = float("nan"), float("inf")
OPEN = np.ones((2, 4), np.uint8)
IDS = np.arange(8, dtype=np.int32).reshape(2, 4)


class Case(NamedTuple):
    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    error: type[Exception]
    text: str

    @property
    def id(self) -> str:
        return f"{self.function.__name__}-{self.name}"


def positions(
    name: str, error: type[Exception], text: str, *arguments: Any, **keywords: Any
) -> Case:
    return Case(name, maskcore.mask_positions, arguments or (OPEN, 1), keywords, error, text)


def tokens(name: str, error: type[Exception], text: str, *arguments: Any, **keywords: Any) -> Case:
    keywords = {"mask_id": 9, "replacement": (1, 0, 0), **keywords}
    return Case(name, maskcore.mask_tokens, arguments or (IDS, OPEN, 1), keywords, error, text)


def allowed(name: str, error: type[Exception], text: str, *arguments: Any) -> Case:
    return Case(name, maskcore.allowed_ids, arguments, {}, error, text)


T, V = TypeError, ValueError
MASKABLE = "maskable_positions must be"
KINDS = f"{MASKABLE} bool, integer, float32 or float64, got dtype"
SHAPE = "of shape (L,) or (B, L), got shape"
RAGGED = "rectangular, got rows of different lengths; pad the rows to one length"
ROWS_REMEDY = "pass one row, or a batch of rows"
BUDGET_REMEDY = "pass 0 to mask nothing; more than maskable masks all"
BUDGET = "num_tokens_to_mask must be"
RATIO = "masking_ratio must be in (0, 1], got"
RATIO_REMEDY = "pass a fraction such as 0.15, not a percentage"
RATIO_KIND = "masking_ratio must be a number in (0, 1], got"
MAX_N_REMEDY = "it is the longest n-gram in units, 3 in ALBERT"
EPOCH_REMEDY = "pass the number of the pass over the data"
ROW_ID_REMEDY = "pass the ids stored with the rows"
OUT_REMEDY = "leave it out for a new one"
TABLE_KIND = "random_ids must be a table of ids, or (start, stop) ranges, got"
SPECIAL_REMEDY = "pass ids such as [0, 101, 102]"
TABLE_REMEDY = "pass for example maskcore.allowed_ids(vocab_size, special_ids)"
SHARES_REMEDY = "as (0.8, 0.1, 0.1)"
NO_SHARE = (
    "replacement must be weights with a positive sum, got [0, 0, 0]; give one a positive weight"
)

ROWS = [
    positions("a number", V, f"{MASKABLE} {SHAPE} (); {ROWS_REMEDY}", 1, 1),
    positions("rank 3", V, f"{MASKABLE} {SHAPE} (1, 2, 3); {ROWS_REMEDY}", np.ones((1, 2, 3)), 1),
    positions("complex", T, f"{KINDS} complex128; convert it first", np.ones(3, complex), 1),
    positions("float16", T, f"{KINDS} float16; convert it first", np.ones(3, np.float16), 1),
    positions("objects", T, f"{KINDS} object; convert it first", [None, 1], 1),
    positions("text", T, f"{KINDS} <U1; convert it first", ["a"], 1),
    positions(
        "ragged",
        V,
        f"{MASKABLE} {RAGGED}",
        [[1], [1, 1]],
        1,
    ),
    positions(
        "NaN",
        V,
        f"{MASKABLE} free of NaN, got NaN at (0, 1); pass 0 or 1 for each token",
        np.array([[1, NAN], [NAN, 1]], np.float32),
        1,
    ),
    positions(
        "NaN in one row",
        V,
        f"{MASKABLE} free of NaN, got NaN at (2,); pass 0 or 1 for each token",
        [1.0, 0.0, NAN],
        1,
    ),
    positions(
        "too long",
        V,
        f"{MASKABLE} rows of at most 2**26 tokens, got 67108865; split longer rows",
        np.broadcast_to(np.uint8(1), (2**26 + 1,)),
        1,
    ),
]

WHICH = "num_tokens_to_mask or masking_ratio must be given, one of the two, got"
WHICH_REMEDY = "pass a number of tokens, or a fraction of the maskable ones"
EACH_ROW = "one for each row, shape (2,), got shape"

BUDGETS = [
    positions("neither", V, f"{WHICH} neither; {WHICH_REMEDY}", OPEN),
    positions("both", V, f"{WHICH} both; {WHICH_REMEDY}", OPEN, 1, masking_ratio=0.5),
    positions("-1", V, f"{BUDGET} >= 0, got -1; {BUDGET_REMEDY}", OPEN, -1),
    positions("1.0", T, f"{BUDGET} an integer, got 1.0; {BUDGET_REMEDY}", OPEN, 1.0),
    positions("'3'", T, f"{BUDGET} an integer, got '3'; {BUDGET_REMEDY}", OPEN, "3"),
    positions("row -2", V, f"{BUDGET} >= 0, got -2 in row 1; {BUDGET_REMEDY}", OPEN, [1, -2]),
    positions("rows", V, f"{BUDGET} {EACH_ROW} (3,); {BUDGET_REMEDY}", OPEN, [1, 2, 3]),
    positions("2-D", V, f"{BUDGET} {EACH_ROW} (1, 2); {BUDGET_REMEDY}", OPEN, [[1, 2]]),
    positions(
        "list for one row",
        V,
        f"{BUDGET} one for each row, shape (), got shape (1,); {BUDGET_REMEDY}",
        OPEN[0],
        [1],
    ),
    positions(
        "floats", T, f"{BUDGET} integers, got dtype float64; {BUDGET_REMEDY}", OPEN, [1.0, 2]
    ),
    *(
        positions(
            f"above the cap {budget}",
            V,
            f"{BUDGET} at most max_predictions = 4, got 5; "
            "raise max_predictions, or pass masking_ratio, which it caps",
            OPEN,
            budget,
            max_predictions=4,
        )
        for budget in (5, [1, 5])
    ),
    *(
        positions(str(ratio), V, f"{RATIO} {shown}; {RATIO_REMEDY}", OPEN, masking_ratio=ratio)
        for ratio, shown in [(0, "0.0"), (-0.1, "-0.1"), (15, "15.0"), (1.0000001, "1.0000001")]
    ),
    *(
        positions(str(ratio), V, f"{RATIO} {ratio}; {RATIO_REMEDY}", OPEN, masking_ratio=ratio)
        for ratio in (NAN, INF)
    ),
    positions(
        "1e-10",
        V,
        "masking_ratio must be at least 5e-10, got 1e-10; a smaller ratio would be rounded to nothing",
        OPEN,
        masking_ratio=1e-10,
    ),
    *(
        positions(
            shown, T, f"{RATIO_KIND} {shown}; pass for example 0.15", OPEN, masking_ratio=ratio
        )
        for ratio, shown in [("0.15", "'0.15'"), ([0.1, 0.2], "[0.1, 0.2]"), ({}, "{}")]
    ),
    *(
        positions(
            f"max_predictions {value}",
            V,
            f"max_predictions must be in [1, 2**31), got {value}; it is the room for positions in a row",
            OPEN,
            masking_ratio=0.5,
            max_predictions=value,
        )
        for value in (0, -1, 2**31)
    ),
    positions(
        "max_predictions 2.0",
        T,
        "max_predictions must be an integer, got 2.0; it is the room for positions in a row",
        OPEN,
        masking_ratio=0.5,
        max_predictions=2.0,
    ),
]

WEIGHTS = "ngram_weights must be"

LAWS = [
    *(
        positions(
            f"max_n {value}",
            V,
            f"max_n must be in [1, 255], got {value}; {MAX_N_REMEDY}",
            max_n=value,
        )
        for value in (0, -1, 256, 2**70)
    ),
    *(
        positions(
            f"max_n {value}",
            T,
            f"max_n must be an integer, got {value}; {MAX_N_REMEDY}",
            max_n=value,
        )
        for value in (2.0, None)
    ),
    *(
        positions(name, error, f"{WEIGHTS} {text}", ngram_weights=weights)
        for name, error, text, weights in [
            ("two weights", V, "max_n = 3 numbers, got 2 numbers; give one weight for each length 1 .. max_n", [1, 2]),
            ("no weights", V, "max_n = 3 numbers, got 0 numbers; give one weight for each length 1 .. max_n", []),
            ("negative", V, "weights >= 0, got -2; use 0 for what must not occur", [1, -2, 1]),
            ("weights as text", T, "numbers, got '1'; pass numbers such as 0.5", "123"),
            ("NaN weight", V, "finite numbers, got nan; leave NaN and infinity out", [1, NAN, 1]),
            ("infinite weight", V, "finite numbers, got inf; leave NaN and infinity out", [1, INF, 1]),
            ("all zero", V, "weights with a positive sum, got [0, 0, 0]; give one a positive weight", [0, 0, 0]),
            (
                "too small",
                V,
                "0 or at least about 2**-16 of their sum, got 1e-09; a smaller weight would never be drawn; raise it or use 0",
                [1, 1e-9, 1],
            ),
            ("text weight", T, "numbers, got 'x'; pass numbers such as 0.5", ["x", 1, 1]),
            ("3", T, "a sequence of numbers, got 3; give one weight for each length 1 .. max_n", 3),
            (
                "2-D weights",
                T,
                "a sequence of numbers, got [[1], [1], [1]]; give one weight for each length 1 .. max_n",
                [[1], [1], [1]],
            ),
        ]
    ),
]  # fmt: skip

UNIT_RANGE = "must be in [-2**31, 2**31), got"
UNIT_SHAPE = "must be of the shape of maskable_positions, (2, 4), got shape"


def filled(value: int) -> NDArray[np.int64]:
    return np.full((2, 4), value)


UNITS = [
    case
    for name, remedy in (
        ("word_ids", "use -1 for tokens without a word"),
        ("segment_ids", "number the segments"),
    )
    for case in (
        positions(f"{name} shape", V, f"{name} {UNIT_SHAPE} (2,); pass one for each token", **{name: [0, 1]}),
        positions(f"{name} turned", V, f"{name} {UNIT_SHAPE} (4, 2); pass one for each token", **{name: np.zeros((4, 2), int)}),
        positions(f"{name} floats", T, f"{name} must be integers, got dtype float64; {remedy}", **{name: np.zeros((2, 4))}),
        positions(f"{name} None", T, f"{name} must be integers, got dtype object; {remedy}", **{name: [[None] * 4] * 2}),
        positions(f"{name} 2**31", V, f"{name} {UNIT_RANGE} 2147483648; number them from 0 in each row", **{name: filled(2**31)}),
        positions(f"{name} low", V, f"{name} {UNIT_RANGE} -2147483649; number them from 0 in each row", **{name: filled(-(2**31) - 1)}),
    )
]  # fmt: skip

RANDOMNESS = [
    *(
        positions(f"seed {value}", V, f"seed must be in [0, 2**63), got {value}; pass a number, the same for all epochs", seed=value)
        for value in (-1, 2**63)
    ),
    *(
        positions(f"seed {value!r}", T, f"seed must be an integer, got {value!r}; pass a number, the same for all epochs", seed=value)
        for value in (1.5, "1", True)
    ),
    *(
        positions(f"epoch {value}", V, f"epoch must be in [0, 2**31), got {value}; {EPOCH_REMEDY}", epoch=value)
        for value in (-1, 2**31)
    ),
    positions("epoch 0.5", T, f"epoch must be an integer, got 0.5; {EPOCH_REMEDY}", epoch=0.5),
    positions("row's epoch", V, f"epoch must be in [0, 2**31), got -1 in row 1; {EPOCH_REMEDY}", epoch=[0, -1]),
    positions("row's large epoch", V, f"epoch must be in [0, 2**31), got 2147483648 in row 0; {EPOCH_REMEDY}", epoch=[2**31, 0]),
    positions("epochs", V, f"epoch must be {EACH_ROW} (3,); {EPOCH_REMEDY}", epoch=[0, 1, 2]),
    positions("row id -1", V, f"row_ids must be in [0, 2**63), got -1 in row 1; {ROW_ID_REMEDY}", row_ids=[0, -1]),
    positions(
        "row id 2**63", V, f"row_ids must be in [0, 2**63), got 9223372036854775808 in row 1; {ROW_ID_REMEDY}",
        row_ids=np.array([0, 2**63], np.uint64),
    ),
    positions(
        "row ids that fit no dtype", V, f"row_ids must be in [0, 2**63), got {2**64} in row 0; {ROW_ID_REMEDY}", row_ids=[2**64, 0]
    ),
    positions("row ids of two dtypes", V, f"row_ids must be in [0, 2**63), got -1 in row 1; {ROW_ID_REMEDY}", row_ids=[2**63, -1]),
    positions("ragged row ids", V, f"row_ids must be {RAGGED}", row_ids=[[0], [1, 2]]),
    positions("ragged epochs", V, f"epoch must be {RAGGED}", epoch=[[0], [1, 2]]),
    positions("one row id", V, f"row_ids must be {EACH_ROW} (1,); {ROW_ID_REMEDY}", row_ids=[0]),
    positions("row id 3", V, f"row_ids must be {EACH_ROW} (); {ROW_ID_REMEDY}", row_ids=3),
    positions("float row ids", T, f"row_ids must be integers, got dtype float64; {ROW_ID_REMEDY}", row_ids=[0.0, 1.0]),
    *(
        positions(f"threads {value}", V, f"num_threads must be in [1, 2**16), got {value}; pass None for one thread", num_threads=value)
        for value in (0, -1, 2**16)
    ),
    positions("threads 1.0", T, "num_threads must be an integer, got 1.0; pass None for one thread", num_threads=1.0),
]  # fmt: skip

OUT = "out must be a numpy array, uint8 (2, 4), got"

OUTS = [
    positions("list", V, f"{OUT} list; {OUT_REMEDY}", out=[1]),
    positions("dtype", V, f"{OUT} int8 (2, 4); {OUT_REMEDY}", out=np.ones((2, 4), np.int8)),
    positions("shape", V, f"{OUT} uint8 (4, 2); {OUT_REMEDY}", out=np.ones((4, 2), np.uint8)),
    positions(
        "strided", V, f"out must be writeable, aligned and C-contiguous, got an array that is not; {OUT_REMEDY}",
        out=np.ones((2, 8), np.uint8)[:, ::2],
    ),
    positions(
        "unaligned", V, f"out must be writeable, aligned and C-contiguous, got an array that is not; {OUT_REMEDY}",
        np.ones((2, 4), np.int32), 1, out=np.zeros(33, np.uint8)[1:].view(np.int32).reshape(2, 4),
    ),
    positions(
        "read-only", V, f"out must be writeable, aligned and C-contiguous, got an array that is not; {OUT_REMEDY}",
        out=np.frombuffer(bytes(8), np.uint8).reshape(2, 4),
    ),
    tokens("out of other ids", V, f"out must be a numpy array, int32 (2, 4), got int64 (2, 4); {OUT_REMEDY}", out=filled(1)),
]  # fmt: skip

ID_KINDS = "input_ids must be int16, int32 or int64, got dtype"
FIT = "mask_id and random_ids must be ids that fit the int16 of input_ids, got 40000; use a wider dtype for input_ids"
SHORT_IDS = IDS.astype(np.int16)
NEEDS_TABLE = (
    "random_ids must be given where replacement has a random share, got none; "
    "pass maskcore.allowed_ids(vocab_size, special_ids), or replacement=(1, 0, 0)"
)

TOKENS = [
    tokens(
        "what is padding", V,
        "maskable_positions or special_ids must be given, got neither; "
        "say which tokens must never be masked, padding among them",
        IDS, None, 1,
    ),
    tokens("float ids", T, f"{ID_KINDS} float64; convert it first", np.ones(3), [1, 1, 1], 1),
    tokens("int8 ids", T, f"{ID_KINDS} int8; convert it first", np.ones(3, np.int8), [1, 1, 1], 1),
    tokens("uint32 ids", T, f"{ID_KINDS} uint32; convert it first", np.ones(3, np.uint32), [1, 1, 1], 1),
    tokens("rank 3", V, f"input_ids must be {SHAPE} (1, 1, 1); {ROWS_REMEDY}", np.ones((1, 1, 1), int), [[[1]]], 1),
    tokens("other shape", V, f"{MASKABLE} of the shape of input_ids, (2, 4), got shape (2,); pass one for each token", IDS, [1, 1], 1),
    tokens("NaN", V, f"{MASKABLE} free of NaN, got NaN at (1,); pass 0 or 1 for each token", IDS[0], [1, NAN, 1, 1], 1),
    *(
        tokens(f"mask_id {value}", V, f"mask_id must be in [0, 2**31), got {value}; pass an id of the vocabulary", mask_id=value)
        for value in (-1, 2**31)
    ),
    tokens("mask_id 1.0", T, "mask_id must be an integer, got 1.0; pass an id of the vocabulary", mask_id=1.0),
    tokens("mask_id in int16", V, FIT, SHORT_IDS, OPEN, 1, mask_id=40000),
    tokens("table in int16", V, FIT, SHORT_IDS, OPEN, 1, random_ids=[3, 40000]),
    tokens("ignore_index", V, "ignore_index must be in [-2**31, 2**31), got 2147483648; use -100, as PyTorch does", ignore_index=2**31),
    tokens("ignore_index -100.0", T, "ignore_index must be an integer, got -100.0; use -100, as PyTorch does", ignore_index=-100.0),
    tokens("output", V, "output must be one of labels, positions, got 'label'; spell it so", output="label"),
    tokens("no table", V, NEEDS_TABLE, replacement=(0.8, 0.1, 0.1)),
    tokens("empty table", V, NEEDS_TABLE, replacement=(0.8, 0.1, 0.1), random_ids=[]),
    tokens("table -1", V, "random_ids must be in [0, 2**31), got -1; pass ids of the vocabulary", random_ids=[3, -1]),
    tokens("table 2**31", V, "random_ids must be in [0, 2**31), got 2147483648; pass ids of the vocabulary", random_ids=[3, 2**31]),
    tokens(
        "a range that no memory holds", V, "random_ids must be in [0, 2**31), got 999999999999999999; pass ids of the vocabulary",
        random_ids=range(10**18),
    ),
    tokens("special iterator", T, f"special_ids must be a sequence of ids, got an iterator; {SPECIAL_REMEDY}", special_ids=iter([1])),
    tokens("special 2**63", V, f"special_ids must be in [-2**63, 2**63), got {2**63}; pass ids of the vocabulary", special_ids=[2**63]),
    tokens("shares as text", T, "replacement must be numbers, got '1'; pass numbers such as 0.5", replacement="100"),
    *(
        tokens(f"table {shown}", T, f"{TABLE_KIND} {shown}; {TABLE_REMEDY}", random_ids=table)
        for table, shown in [([1.5], "[1.5]"), ("abc", "'abc'"), (5, "5"), ([("a", "b")], "[('a', 'b')]")]
    ),
    tokens(
        "special in the table", V, "random_ids must be free of special_ids, got 7; pass maskcore.allowed_ids(vocab_size, special_ids)",
        random_ids=[4, 7], special_ids=[1, 7],
    ),
    *(
        tokens(f"special {kind}", T, f"special_ids must be integers, got dtype {kind}; pass ids such as [0, 101, 102]", special_ids=ids)
        for kind, ids in [("float64", [1.0]), ("bool", [True]), ("<U5", ["[CLS]"]), ("object", [None])]
    ),
    tokens("2 shares", V, f"replacement must be three shares (mask, random, keep), got 2 values; {SHARES_REMEDY}", replacement=(1, 0)),
    tokens("a number", T, f"replacement must be three shares (mask, random, keep), got 0.8; {SHARES_REMEDY}", replacement=0.8),
    tokens("percent", V, f"replacement must be shares with sum 1, got 100.0; {SHARES_REMEDY}", replacement=(80, 10, 10), random_ids=[5]),
    tokens("negative share", V, "replacement must be weights >= 0, got -0.1; use 0 for what must not occur", replacement=(1.1, -0.1, 0)),
    tokens("NaN share", V, "replacement must be finite numbers, got nan; leave NaN and infinity out", replacement=(NAN, 0, 1)),
    tokens("no share", V, NO_SHARE, replacement=(0, 0, 0)),
    tokens(
        "tiny share", V,
        "replacement must be 0 or at least about 2**-32 of their sum, got 1e-12; a smaller weight would never be drawn; raise it or use 0",
        replacement=(1, 1e-12, 0), random_ids=[5],
    ),
    allowed("no ids", V, "vocab_size must be in [1, 2**31), got 0; pass the number of ids", 0, []),
    allowed("2**31 ids", V, "vocab_size must be in [1, 2**31), got 2147483648; pass the number of ids", 2**31, []),
    allowed("2.0 ids", T, "vocab_size must be an integer, got 2.0; pass the number of ids", 2.0, []),
    allowed("none left", V, "special_ids must be fewer than all ids, got all 2; leave some ids to draw from", 2, [0, 1]),
    allowed("special 0.5", T, "special_ids must be integers, got dtype float64; pass ids such as [0, 101, 102]", 3, [0.5]),
]  # fmt: skip


@pytest.mark.parametrize(
    "case",
    [*ROWS, *BUDGETS, *LAWS, *UNITS, *RANDOMNESS, *OUTS, *TOKENS],
    ids=lambda case: case.id,
)
def test_errors(case: Case, forced_backend: str) -> None:
    assert maskcore.active_backend() == forced_backend
    with pytest.raises(case.error) as raised:
        case.function(*case.arguments, **case.keywords)
    assert type(raised.value) is case.error
    assert str(raised.value) == case.text


@pytest.mark.parametrize("function", [maskcore.mask_indices, maskcore.mask_spans])
def test_the_other_forms_check_alike(function: Callable[..., Any], forced_backend: str) -> None:
    with pytest.raises(V, match=r"^num_tokens_to_mask must be >= 0, got -5; "):
        function(OPEN, -5)
    with pytest.raises(
        V, match=r"^num_tokens_to_mask must be at most max_predictions = 4, got 5; "
    ):
        function(OPEN, 5, max_predictions=4)


def test_errors_do_not_depend_on_what_was_called_before(forced_backend: str) -> None:
    """What was lowered for ids is not found again for floats that are equal to them."""
    keywords: dict[str, Any] = {"mask_id": 9, "replacement": (1, 0, 0)}
    maskcore.mask_tokens(IDS, None, 1, special_ids=[1, 2], random_ids=[(3, 5)], **keywords)
    with pytest.raises(T, match=r"^special_ids must be integers, got dtype float64"):
        maskcore.mask_tokens(IDS, None, 1, special_ids=[1.0, 2.0], random_ids=[(3, 5)], **keywords)
    with pytest.raises(T, match=r"^random_ids must be a table of ids"):
        maskcore.mask_tokens(IDS, None, 1, special_ids=[1, 2], random_ids=[(3.0, 5)], **keywords)


def test_out_is_untouched_by_an_error(forced_backend: str) -> None:
    out = np.full((2, 4), 7, np.uint8)
    with pytest.raises(V, match="seed"):
        maskcore.mask_positions(OPEN, 1, seed=-1, out=out)
    assert (out == 7).all()


def test_more_than_maskable_is_no_error(forced_backend: str) -> None:
    for budget in (5, 2**31, 2**63, 2**70, np.uint64(2**64 - 1)):
        assert maskcore.mask_positions(OPEN, budget, seed=1).tolist() == [[1] * 4] * 2
    for budgets in (np.array([0, 2**64 - 1], np.uint64), [0, 2**63], [0, 2**70]):
        assert maskcore.mask_positions(OPEN, budgets, seed=1).tolist() == [[0] * 4, [1] * 4]


def test_a_wrong_keyword_or_too_many_arguments(forced_backend: str) -> None:
    """Everything after the arrays is keyword-only: nobody passes two integers in the wrong order."""
    with pytest.raises(T, match="positional arguments"):
        maskcore.mask_positions(OPEN, 1, 3)  # type: ignore[misc]
    with pytest.raises(T, match="unexpected keyword argument 'max_ngram'"):
        maskcore.mask_positions(OPEN, 1, max_ngram=3)  # type: ignore[call-arg]
    with pytest.raises(T, match="mask_id"):
        maskcore.mask_tokens(IDS, OPEN, 1)  # type: ignore[call-arg]
