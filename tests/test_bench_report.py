# SPDX-License-Identifier: Apache-2.0
"""The bench's report: figures from JSON, verdicts on targets, tables in files.

Owns no timing: every figure here is made up. Knows nothing of maskers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # bench is no part of the package

from bench import compare, results, tables, targets

NS = 1e-9


def write_report(path: Path, ns_per_row: dict[str, float], rows_per_call: int = 4096) -> Path:
    """Write what pytest-benchmark would, for figures that take so many nanoseconds a row."""
    benchmarks = []
    for name, ns in ns_per_row.items():
        seconds = ns * rows_per_call * NS
        stats = {"median": seconds, "q1": 0.9 * seconds, "q3": 1.2 * seconds, "rounds": 11}
        info = {"measures": name, "rows_per_call": rows_per_call}
        benchmarks.append({"extra_info": info, "stats": stats})
    report: dict[str, Any] = {
        "machine_info": {
            "packages": {"torch": "2.13.0", "transformers": None},
            "maskcore": {"version": "0.1.0", "simd_levels": ["avx2", "scalar"]},
            "load_average_at_start": 0.25,
        },
        "commit_info": {"id": "0123456789abcdef", "dirty": False},
        "datetime": "2026-01-02T03:04:05.678+00:00",
        "benchmarks": benchmarks,
    }
    path.write_text(json.dumps(report), encoding="utf-8")
    return path


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """Write a run with two figures: 100 ns for ours, 6,000 ns for one peer."""
    return write_report(
        tmp_path / "bench.json", {"native-avx512": 100.0, "torch-mask-tokens-4096": 6000.0}
    )


def verdict_on(run: results.Run, label: str) -> targets.Verdict:
    """Return the one verdict whose label begins with `label`."""
    (found,) = (v for v in targets.verdicts(run) if v.target.label.startswith(label))
    return found


def test_times_are_for_one_row(report: Path) -> None:
    run = results.read_run(report)
    assert round(run.timings["native-avx512"].median * 1e9, 6) == 100.0
    assert round(run.timings["native-avx512"].upper_quartile * 1e9, 6) == 120.0
    assert run.timings["native-avx512"].rounds == 11
    assert (run.date, run.commit) == ("2026-01-02 03:04", "0123456789")


@pytest.mark.parametrize(("ns", "is_met"), [(129.9, True), (130.1, False)])
def test_a_ceiling_is_met_up_to_its_limit(tmp_path: Path, ns: float, is_met: bool) -> None:
    run = results.read_run(write_report(tmp_path / "bench.json", {"native-avx512": ns}))
    assert verdict_on(run, "a row, native, AVX-512").is_met is is_met


@pytest.mark.parametrize(("ns", "is_met"), [(6001.0, True), (5999.0, False)])
def test_a_speedup_is_met_from_its_limit_on(tmp_path: Path, ns: float, is_met: bool) -> None:
    figures = {"native-avx512": 100.0, "torch-mask-tokens-4096": ns}
    run = results.read_run(write_report(tmp_path / "bench.json", figures))
    verdict = verdict_on(run, "AVX-512 faster than `torch_mask_tokens` on the same batch")
    assert verdict.is_met is is_met
    assert round(verdict.measured, 6) == ns / 100


def test_flatness_compares_tokens_not_rows(tmp_path: Path) -> None:
    """Rows of 64 to 65,536 tokens at 1, 1, 1, 1 and 1.5 ns a token."""
    figures = {"row-length-64": 64.0, "row-length-128": 128.0, "row-length-512": 512.0}
    figures |= {"row-length-4096": 4096.0, "row-length-65536": 98304.0}
    run = results.read_run(write_report(tmp_path / "bench.json", figures))
    assert round(verdict_on(run, "dearest over cheapest").measured, 6) == 1.5


def test_a_missing_figure_is_told_with_its_reason(report: Path) -> None:
    run = results.read_run(report)
    lines = tables.to_markdown(tables.figures_table(run)).splitlines()
    by_label = {line.split("|")[1].strip(): line for line in lines}
    assert (
        "missing: transformers not installed" in by_label["transformers collator, NumPy, batch 64"]
    )
    assert "missing: not in this run" in by_label["`mask_positions`, reference in plain Python"]
    assert verdict_on(run, "a row, Numba").missing == ("numba",)
    assert not verdict_on(run, "a row, Numba").is_met


def test_a_level_that_the_machine_lacks_is_told(tmp_path: Path) -> None:
    run = results.read_run(write_report(tmp_path / "bench.json", {"native-avx2": 200.0}))
    (figure,) = (f for f in results.OURS if f.name == "native-avx512")
    assert run.why_missing(figure) == "missing: the machine has no such level"


def test_every_target_is_made_of_listed_figures() -> None:
    listed = {figure.name for figure in results.FIGURES}
    assert len(listed) == len(results.FIGURES)
    assert {name for target in targets.TARGETS for name in target.needs} <= listed
    assert set(tables.HEADLINE) <= listed


def test_blocks_are_filled_and_the_rest_is_kept(report: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- bench:targets -->\nold\n<!-- /bench -->\nafter\n", encoding="utf-8"
    )
    assert compare.main([str(report), "--update", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- bench:targets -->\n| target |")
    assert text.endswith("|\n<!-- /bench -->\nafter\n")
    assert "| a row, native, AVX-512 | at most 130 ns | 100 ns | 0.769 | met |" in text
    assert "old" not in text


def test_an_unknown_block_raises(report: Path) -> None:
    run = results.read_run(report)
    with pytest.raises(ValueError, match=r"got \['tragets'\]"):
        tables.fill_blocks("<!-- bench:tragets -->\n<!-- /bench -->", run)
    with pytest.raises(ValueError, match="got none"):
        tables.fill_blocks("no block", run)


def test_only_strict_fails_on_a_missed_target(report: Path) -> None:
    assert compare.main([str(report)]) == 0
    assert compare.main([str(report), "--strict"]) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.103449, "0.103"), (17834.2, "17,800"), (69.96, "70.0"), (0.0, "0"), (999.6, "1,000")],
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert tables.significant(value) == text
