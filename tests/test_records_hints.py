# SPDX-License-Identifier: Apache-2.0
"""Hints after a build: each where it is so, and with an option that helps there, not else."""

import pytest

from maskcore._cli import main
from maskcore.records.reporting.hints import hints

OPTIONS = {"bins": (128,), "pairs": "none", "pack": False, "schema": "maskcore", "dupe_factor": 1}
COUNTS = {
    "tokens_read": 100_000, "unknown_tokens": 1000, "rows_per_bin": {"128": 1000}, "padding_tokens": 32_000,
    "labels": {}, "pairs_with_forced_partner": 0, "pairs_without_partner": 0,
}  # fmt: skip
LEANS = {"labels": {"0": 4500, "1": 5500}, "rows_per_bin": {"128": 10_000}}
LABELS = (
    "55.0% of the labels are 1, as 1,000 rows had one sentence only, and took another document's"
)


def hints_of(counts, **options):
    return list(hints({**COUNTS, **counts}, {**OPTIONS, **options}))


def test_nothing_at_the_limits():
    assert hints_of({}) == []
    assert (
        hints_of({"tokens_read": 0, "unknown_tokens": 0, "rows_per_bin": {}, "padding_tokens": 0})
        == []
    )


def test_unknown_tokens_are_those_of_the_text_once():
    (hint,) = hints_of({"unknown_tokens": 1001})
    assert hint.startswith("1.0% of the tokens are unknown to the tokenizer: train one")
    assert hints_of({"unknown_tokens": 1000, "tokens_read": 300_000}, dupe_factor=3) == []
    (hint,) = hints_of({"unknown_tokens": 5000, "tokens_read": 300_000}, dupe_factor=3)
    assert hint.startswith("5.0% ")


@pytest.mark.parametrize(
    ("options", "ways"),
    [
        ({}, "--bins of several lengths or --pack"),
        ({"bins": (64, 128)}, "smaller --bins or --pack"),
        ({"pairs": "sop"}, "--bins of several lengths"),
        ({"schema": "bert"}, "--bins of several lengths"),
        ({"pack": True}, "--bins of several lengths"),
    ],
)
def test_padding_names_what_goes_with_the_options(options, ways):
    (hint,) = hints_of({"padding_tokens": 40_000}, **options)
    assert hint == f"31.2% of the places are padding: less with {ways}"


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ({"pairs_with_forced_partner": 1000}, [LABELS]),
        ({"labels": {"0": 4800, "1": 5200}, "pairs_with_forced_partner": 400}, []),
        ({"labels": {"0": 45, "1": 55}, "pairs_with_forced_partner": 10}, []),
        ({"pairs_with_forced_partner": 0, "pairs_without_partner": 9}, []),
        (
            {"labels": {"0": 6000, "1": 4000}, "pairs_without_partner": 2000},
            ["40.0% of the labels are 1, as 2,000 rows found no other document"],
        ),
        ({"labels": {"0": 100}, "pairs_without_partner": 1}, ["0% of the labels are 1, as 1 row "]),
    ],
)
def test_labels_that_lean(counts, found):
    given = hints_of({**LEANS, "padding_tokens": 0, **counts}, pairs="nsp")
    assert [hint[: len(start)] for hint, start in zip(given, found, strict=True)] == found


def test_the_summary_and_the_report_give_them(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("\n\n".join(["one two three"] * 50))
    out = tmp_path / "r"
    assert main(["build", str(tmp_path / "a.txt"), "--out", str(out)]) == 0
    hint = "of the places are padding: less with --bins of several lengths or --pack"
    (line,) = [line for line in capsys.readouterr().out.splitlines() if hint in line]
    assert line.startswith("  hint       9")
    assert hint + "." in (out / "report.html").read_text()
