# SPDX-License-Identifier: Apache-2.0
"""`maskcore build` from the outside: its options, dry run, interruption, verify and report."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from records_helpers import hashes
from test_cli import SENTENCES, run_command

from maskcore import records
from maskcore._cli import main
from maskcore._cli.build_options import build_arguments
from maskcore.records.tokenising.tokenise import train_wordpiece


@pytest.fixture
def corpus(tmp_path):
    """Forty documents of one to three sentences, twice: a fair mix of rows of 16 and 32."""
    (tmp_path / "corpus").mkdir()
    for name in ("a.txt", "b.txt"):
        text = "\n\n".join("\n".join(SENTENCES[: 1 + i % 3]) for i in range(40))
        (tmp_path / "corpus" / name).write_text(text)
    return tmp_path / "corpus"


@pytest.fixture
def tokenizer(tmp_path):
    """A tokenizer of the sentences, so that nothing is trained."""
    (tmp_path / "t.json").write_bytes(train_wordpiece([SENTENCES], 64).content)
    return tmp_path / "t.json"


def facts_of(output):
    """Return the named facts of a summary."""
    lines = [re.fullmatch(r"  (\S+) +(.+)", line) for line in output.splitlines()[1:]]
    return {match[1]: match[2] for match in lines if match}


def test_every_option_reaches_the_build():
    """The command line and the Python API have the same names, but --format and --split-sentences."""
    parser = main.__globals__["_parser"]()
    args = parser.parse_args([
        "build", "a", "b", "--out", "r", "--tokenizer", "t", "--text-format", "jsonl",
        "--text-field", "body", "--id-field", "id", "--on-bad-text", "skip", "--split-sentences", "ko",
        "--word-separator", "U+200B", "--bins", "32,64", "--pairs", "sop",
        "--short-seq-prob", "0.2", "--pack", "--mask-epochs", "2", "--dupe-factor", "3", "--schema", "bert",
        "--layout", "compact", "--format", "parquet", "--num-shards", "5", "--workers", "4", "--overwrite",
        "--verify", "--mask-unit", "token", "--max-n", "2", "--masking-ratio", "0.2",
        "--max-predictions", "7", "--seed", "11",
    ])  # fmt: skip
    assert args.corpus == ["a", "b"] and args.out == "r"
    arguments = build_arguments(args)
    mask = records.MaskConfig(
        mask_unit="token", max_n=2, masking_ratio=0.2, max_predictions=7, seed=11
    )
    expected = {
        "tokenizer": "t", "vocab_size": 30522, "text_format": "jsonl", "text_field": "body", "id_field": "id",
        "on_bad_text": "skip", "sentence_splitting": "ko", "word_separator": "\u200b",
        "seq_length": None, "bins": (32, 64), "pairs": "sop", "short_seq_prob": 0.2, "pack": True, "mask": mask,
        "mask_epochs": 2, "dupe_factor": 3, "schema": "bert", "layout": "compact",
        "file_format": "parquet", "num_shards": 5, "workers": 4, "overwrite": True, "verify": True,
    }  # fmt: skip
    assert arguments == expected
    for name in ("workers", "overwrite", "verify"):
        del expected[name]
    assert build_arguments(args, dry_run=True) == expected
    args = parser.parse_args(
        ["build", "a", "--out", "r", "--vocab-size", "99", "--seq-length", "64"]
    )
    assert (args.vocab_size, args.seq_length) == (99, 64)


def test_defaults_are_those_of_the_python_api(corpus, tokenizer, tmp_path):
    command = ["build", str(corpus), "--out", str(tmp_path / "r"), "--tokenizer", str(tokenizer)]
    assert main(command) == 0
    records.build(corpus, tmp_path / "api", tokenizer=tokenizer)
    assert hashes(tmp_path / "r") == hashes(tmp_path / "api")


def test_bins_and_pairs_are_summed_up(corpus, tokenizer, tmp_path, capsys):
    command = ["build", str(corpus), "--out", str(tmp_path / "r"), "--tokenizer", str(tokenizer),
               "--bins", "16,32", "--pairs", "sop", "--workers", "1"]  # fmt: skip
    assert main(command) == 0
    facts = facts_of(capsys.readouterr().out)
    opened = records.open(tmp_path / "r")
    rows = [sum(len(batch["row_id"]) for batch in opened.batches(99, n)) for n in (16, 32)]
    assert min(rows) > 0
    assert facts["rows"] == f"{rows[0]} of 16, {rows[1]} of 32 tokens"
    swapped = sum(int(row["next_sentence_labels"][0]) for row in opened)
    assert facts["pairs"] == f"sop, {100 * swapped / sum(rows):.1f}% swapped"
    unused = sum(int((row["attention_mask"] == 0).sum()) for row in opened)
    share = 100 * unused / (16 * rows[0] + 32 * rows[1])
    assert facts["padding"] == f"{share:.1f}% of the places"
    assert facts["files"].startswith("4 shards (tfrecord), ") or facts["files"].startswith("2 ")
    assert facts["next"] == f"maskcore show {tmp_path / 'r'}"
    assert re.fullmatch(
        r"[\d.]+ s \(reading [\d.]+ s, rows [\d.]+ s\), \S+ tokens/s", facts["time"]
    )


def test_one_of_a_kind_is_noted_in_the_singular(tokenizer, tmp_path, capsys):
    """It was "1 documents were skipped"."""
    (tmp_path / "a.txt").write_bytes(b"fine\n\nbad \xff\n")
    command = ["build", str(tmp_path / "a.txt"), "--out", str(tmp_path / "r"), "--tokenizer",
               str(tokenizer), "--on-bad-text", "skip"]  # fmt: skip
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "note       1 document skipped for bad text\n" in out
    assert " bytes skipped for bad text\n" in out


def test_a_dry_run_writes_nothing_and_tells_what_the_build_makes(
    corpus, tokenizer, tmp_path, capsys
):
    command = ["build", str(corpus), "--out", str(tmp_path / "r"), "--tokenizer", str(tokenizer),
               "--bins", "16,32"]  # fmt: skip
    assert main([*command, "--dry-run"]) == 0
    planned = facts_of(capsys.readouterr().out)
    assert not (tmp_path / "r").exists()
    assert main(command) == 0
    made = facts_of(capsys.readouterr().out)
    # The sample is the whole corpus here.
    assert planned["rows"] == "about " + made["rows"]
    assert planned["files"].split("(")[0] == made["files"].split("(")[0]
    fields = json.loads((tmp_path / "r" / "MANIFEST.json").read_text())
    assert planned["plan"] == fields["plan_sha256"]


def test_help_names_every_option_in_its_group(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["build", "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for group in ("text:", "tokenizer:", "rows:", "masks:", "files:", "run:", "examples:"):
        assert f"\n{group}\n" in text
    assert "maskcore build corpus/ --out records/ --dry-run" in text


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--bins", "16;32"], "--bins: '16;32' is no list of lengths; write 64,128,256"),
        (["--bins", "32,16"], "bins must be ascending"),
        (["--pairs", "sop", "--pack"], "pack must be False with pairs"),
        (["--schema", "bert", "--mask-epochs", "1"], "mask_epochs must be 0 with schema 'bert'"),
        (["--layout", "compact", "--format", "parquet"], "layout must be int64 with file_format"),
        (["--workers", "0"], "workers must be in [1, 4096), got 0"),
        (["--short-seq-prob", "2"], "short_seq_prob must be in [0, 1], got 2"),
        (["--word-separator", "ab"], "word_separator must be one character"),
        (["--text-format", "xml"], "--text-format: invalid choice: 'xml'"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(
    corpus, tokenizer, tmp_path, capsys, *, options, problem
):
    try:
        code = main(["build", str(corpus), "--out", str(tmp_path / "r"), "--tokenizer",
                     str(tokenizer), *options])  # fmt: skip
    except SystemExit as stopped:
        code = stopped.code
    captured = capsys.readouterr()
    assert code == 2
    assert len(captured.err.splitlines()) == 1, captured.err
    assert problem in captured.err
    assert not (tmp_path / "r").exists()


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal on POSIX")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_says_how_to_go_on_and_the_same_command_does(tokenizer, tmp_path, workers):
    (tmp_path / "long.txt").write_text("\n\n".join("\n".join(SENTENCES) for _ in range(30_000)))
    command = ["build", tmp_path / "long.txt", "--tokenizer", tokenizer, "--num-shards", "6",
               "--workers", workers]  # fmt: skip
    out = tmp_path / "r"
    process = subprocess.Popen(
        [sys.executable, "-m", "maskcore", *map(str, command), "--out", str(out)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in process.stderr:
        if line.startswith("making rows"):
            break
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate()
    assert process.returncode == 130, errors
    assert output == ""
    assert errors.splitlines()[-1] == (
        "maskcore build: interrupted; what is finished is kept: run the same command again to go on"
    )
    assert sorted(os.listdir(out)) == ["_build"]
    done = run_command(*command, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].startswith("making rows")
    assert not (out / "_build").exists()
    assert run_command("verify", out).returncode == 0


def test_nobody_needs_to_read_the_progress(corpus, tokenizer, tmp_path):
    """A pipe that is closed after the first line stops neither the build nor its exit code."""
    command = (
        f"set -o pipefail; {sys.executable} -m maskcore build {corpus} --out {tmp_path / 'r'} "
        f"--tokenizer {tokenizer} 2>&1 | head -n 1"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "reading ...\n", "")
    assert records.verify(tmp_path / "r").is_sound


@pytest.fixture
def built(corpus, tokenizer, tmp_path, capsys):
    assert main(["build", str(corpus), "--out", str(tmp_path / "r"), "--tokenizer", str(tokenizer),
                 "--seq-length", "32"]) == 0  # fmt: skip
    capsys.readouterr()
    return tmp_path / "r"


def test_verify_finds_nothing_in_what_was_built(built, capsys):
    assert main(["verify", str(built)]) == 0
    captured = capsys.readouterr()
    rows = len(records.open(built))
    assert re.fullmatch(
        rf"{re.escape(str(built))}: sound; {rows} rows in 1 file, [\d.]+ kB, [\d.]+ s\n",
        captured.out,
    )
    assert captured.err == "checking ...\n"


def test_verify_names_the_damaged_file_and_record(built, capsys):
    (path,) = built.glob("part-*")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    assert main(["verify", str(built)]) == 1
    problem, summary = capsys.readouterr().out.splitlines()
    assert problem.startswith(f"{path}: record ") and "checksum" in problem
    assert summary.startswith(f"{built}: 1 problem; ")


def test_report_makes_what_the_build_made(built, tmp_path, capsys):
    before = hashes(built)
    (built / "report.json").unlink()
    (built / "report.html").unlink()
    assert main(["report", str(built)]) == 0
    assert capsys.readouterr().out == f"{built / 'report.html'}\n"
    assert hashes(built) == before
    shutil.rmtree(built)
    assert main(["report", str(built)]) == 2
    assert "no MANIFEST.json" in capsys.readouterr().err
