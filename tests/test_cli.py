# SPDX-License-Identifier: Apache-2.0
"""The command line: what people see, exit codes, and one line for each thing that can be wrong."""

import json
import os
import re
import subprocess
import sys

import pytest
from test_records_words import KOREAN

import maskcore
from maskcore import records
from maskcore._cli import known_answers, main
from maskcore.records.encoding._codec import codec_name
from maskcore.records.tokenising.tokenise import load_tokeniser, train_wordpiece

SENTENCES = [
    "The cat sat on the mat.",
    "A dog barked at the cat.",
    "The mat was red and the dog was not.",
]


@pytest.fixture
def corpus(tmp_path):
    """A file of twenty documents."""
    text = "\n\n".join("\n".join(SENTENCES) for _ in range(20))
    (tmp_path / "corpus.txt").write_text(text)
    return tmp_path / "corpus.txt"


@pytest.fixture
def built(corpus, tmp_path, capsys):
    """A finished build of two stored epochs."""
    code = main(["build", str(corpus), "--out", str(tmp_path / "r"), "--seq-length", "32",
                 "--mask-epochs", "2", "--seed", "7"])  # fmt: skip
    assert code == 0
    capsys.readouterr()
    return tmp_path / "r"


def run_command(*arguments, **environment):
    """Run `python -m maskcore` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "maskcore", *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_build_says_what_it_made(corpus, tmp_path, capsys):
    code = main(["build", str(corpus), "--out", str(tmp_path / "r"), "--seq-length", "64",
                 "--max-n", "2", "--masking-ratio", "0.2", "--mask-unit", "token",
                 "--max-predictions", "5", "--mask-epochs", "3", "--vocab-size", "100",
                 "--num-shards", "2", "--seed", "9"])  # fmt: skip
    captured = capsys.readouterr()
    assert code == 0
    for fact in (
        "rows       20 of 64 tokens",
        "text       20 documents, 60 sentences",
        "tokens     480 written of 480 read",
        "padding    59.4% of the places",
        "20% of the tokens, spans of up to 2 tokens, seed 9, 3 epochs stored",
        "2 shards",
        "trained on this corpus",
    ):
        assert fact in captured.out
    assert captured.err.splitlines() == [
        "reading ...",
        "learning the vocabulary ...",
        "making rows ...",
    ]
    manifest = records.open(tmp_path / "r").manifest
    assert manifest.mask == records.MaskConfig(
        seed=9, max_n=2, masking_ratio=0.2, mask_unit="token", max_predictions=5
    )
    assert (manifest.seq_length, manifest.mask_epochs) == (64, 3)
    assert manifest.tokenizer.vocab_size <= 100


def test_build_with_a_tokenizer(corpus, tmp_path, capsys):
    trained = train_wordpiece([SENTENCES], 64)
    (tmp_path / "t.json").write_bytes(trained.content)
    arguments = [
        "build",
        str(corpus),
        "--out",
        str(tmp_path / "r"),
        "--tokenizer",
        str(tmp_path / "t.json"),
    ]
    assert main(arguments) == 0
    assert "trained on" not in capsys.readouterr().out
    assert (tmp_path / "r" / "tokenizer.json").read_bytes() == trained.content
    assert main(arguments) == 2
    assert main([*arguments, "--overwrite"]) == 0


def test_show_marks_the_masked_words(built, capsys):
    assert main(["show", str(built), "-n", "1"]) == 0
    out = capsys.readouterr().out
    opened = records.open(built)
    columns = next(opened.batches(100))
    rule = load_tokeniser(built / "tokenizer.json").rule
    spans = opened.spans(columns, 0)
    shown = re.findall("⟦(.*?)⟧", re.sub(r"\s+", " ", out))
    ids, row = columns["input_ids"][0], spans[0]
    expected = [
        rule.text(ids[row == number].tolist()).strip() for number in range(1, row.max() + 1)
    ]
    assert shown == expected
    assert "row 0" in out and "row 1" not in out
    assert "[CLS]" in out and "[SEP]" in out
    assert "masks of epoch 0  20 of 20 rows" in out
    assert "spans of 3 words" in out
    assert "The stored masks of epoch 0 equal those derived from the row ids." in out


def test_show_of_another_epoch(built, capsys):
    assert main(["show", str(built), "-n", "0", "--epoch", "1"]) == 0
    assert "The stored masks of epoch 1 equal" in capsys.readouterr().out
    assert main(["show", str(built), "-n", "0", "--epoch", "2"]) == 0
    assert "Epoch 2 is not stored" in capsys.readouterr().out


def test_show_colours_on_a_terminal(built):
    done = run_command("show", built, "-n", "1", FORCE_COLOR="1", TERM="xterm-256color")
    assert done.returncode == 0
    assert "\x1b[" in done.stdout and "⟦" not in done.stdout


def test_show_finds_masks_that_are_not_those_of_the_manifest(built, capsys):
    path = built / "MANIFEST.json"
    fields = json.loads(path.read_text())
    fields["mask"]["seed"] = 8
    path.write_text(json.dumps(fields))
    assert main(["show", str(built), "-n", "0"]) == 1
    assert "differ from those derived" in capsys.readouterr().out


def test_show_refuses_another_tokenizer(built, capsys):
    (built / "tokenizer.json").write_bytes(train_wordpiece([SENTENCES], 40).content)
    assert main(["show", str(built)]) == 2
    assert "not the tokenizer that the records were made with" in capsys.readouterr().err


def test_show_prints_korean(tmp_path, capsys):
    (tmp_path / "ko.txt").write_text("\n".join(KOREAN), encoding="utf-8")
    assert main(["build", str(tmp_path / "ko.txt"), "--out", str(tmp_path / "r")]) == 0
    capsys.readouterr()
    assert main(["show", str(tmp_path / "r")]) == 0
    out = re.sub(r"[⟦⟧]|\s+", "", capsys.readouterr().out)
    assert "어제저녁에친구들과함께한강공원에서자전거를탔다." in out


def test_a_reader_that_stops_early_is_no_error(built):
    command = f"{sys.executable} -m maskcore show {built} -n 20 | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("row 0")
    assert done.stderr == ""


def test_info_checks_every_backend(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"maskcore {maskcore.__version__}, version 1 of the algorithm")
    for status in maskcore.available_backends():
        assert re.search(rf"^  {status.name} ", out, re.MULTILINE)
        if status.is_available:
            assert re.search(rf"^  {status.name}( \w+)? +ok$", out, re.MULTILINE)


def test_info_names_the_codecs_of_records(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert re.search(rf"^  {codec_name()} +available, in use$", out, re.MULTILINE)
    assert re.search(r"^  word cache +\S", out, re.MULTILINE)
    for name in ("native", "numpy"):
        if re.search(rf"^  {name} +available", out.split("codecs of records")[1], re.MULTILINE):
            assert re.search(rf"^  codec {name} +ok$", out, re.MULTILINE)
    assert "codec " in out
    done = run_command("info", MASKCORE_RECORDS="numpy")
    assert re.search(r"^  numpy +available, in use$", done.stdout, re.MULTILINE)


def test_info_says_why_a_backend_is_missing():
    done = run_command("info", MASKCORE_SIMD="no-such-level", MASKCORE_BACKEND="reference")
    assert done.returncode == 0
    assert "BackendUnavailableError: MASKCORE_SIMD names no level" in done.stdout
    assert "\n  native" not in done.stdout.split("self-check")[1]


@pytest.mark.parametrize("which", ["rows", "philox", "tokens", "record", "checksum"])
def test_info_fails_when_an_answer_differs(monkeypatch, capsys, which):
    if which == "rows":
        wrong = known_answers.ROWS[0]._replace(spans="1" + known_answers.ROWS[0].spans[1:])
        monkeypatch.setattr(known_answers, "ROWS", (wrong, *known_answers.ROWS[1:]))
    elif which == "philox":
        counter, key, words = known_answers.PHILOX_VECTORS[0]
        wrong = (counter, key, (words[0] ^ 1, *words[1:]))
        monkeypatch.setattr(known_answers, "PHILOX_VECTORS", (wrong,))
    elif which == "record":
        monkeypatch.setattr(known_answers, "RECORD_OF_ABC", bytes(19))
    elif which == "checksum":
        monkeypatch.setattr(known_answers, "CRC32C_OF_DIGITS", 1)
    else:
        answer = known_answers.TOKENS_ANSWER
        monkeypatch.setattr(known_answers, "TOKENS_ANSWER", (0, *answer[1:]))
    assert main(["info"]) == 1
    out = capsys.readouterr().out
    assert "WRONG" in out and "must be" in out and "do not use it" in out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["{corpus}", "--out", "{out}", "--masking-ratio", "1.5"], "masking_ratio must be in (0, 1], got 1.5"),
        (["{corpus}", "--out", "{out}", "--masking-ratio", "much"], "--masking-ratio: invalid float value: 'much'"),
        (["{corpus}", "--out", "{out}", "--seq-length", "2"], "seq_length must be in [3, 67108864], got 2"),
        (["{corpus}", "--out", "{out}", "--seed", "-1"], "seed must be in [0, 2**63), got -1"),
        (["{corpus}", "--out", "{out}", "--max-n", "0"], "max_n must be in [1, 255], got 0"),
        (["{corpus}", "--out", "{out}", "--mask-unit", "line"], "--mask-unit: invalid choice: 'line'"),
        (["{corpus}", "--out", "{out}", "--vocab-size", "3"], "vocab_size must be >= 32, got 3"),
        (["{corpus}"], "the following arguments are required: --out"),
        (["{tmp}/missing.txt", "--out", "{out}"], "missing.txt: cannot be read (no such file or folder)"),
        # Was the working folder, all of it.
        (["", "--out", "{out}"], "corpus: an empty path; name a file"),
        (["{corpus}", "--out", ""], "out: an empty path; name the folder to make"),
        # Were ignored: JSONL called .txt was read with its braces.
        (["{corpus}", "--out", "{out}", "--text-field", "body"], "got text_field (--text-field) 'body'"),
        (["{corpus}", "--out", "{out}", "--id-field", "id"], "corpus.txt: plain text has no fields, got id_field"),
        (["{corpus}", "--out", "{out}", "--bins", "32,64", "--seq-length", "512"], "--seq-length: not allowed with"),
        (["{corpus}", "--out", "{out}", "--bins", "32,64", "--seq-length", "128"], "--seq-length: not allowed with"),
        (["{corpus}", "--out", "{out}", "--vocab-size", "99", "--tokenizer", "{tmp}/t.json"], "--tokenizer: not allowed with"),
        # Was "no text".
        (["{tmp}/one.txt", "--out", "{out}", "--tokenizer", "{tmp}/t.json", "--pairs", "sop"],
         "one.txt: no rows, as no document has two tokens to make a pair of (1 token skipped)"),
        (["{tmp}/empty.txt", "--out", "{out}"], "empty.txt: no text in the corpus"),
        (["{tmp}/empty.txt", "--out", "{out}", "--tokenizer", "{tmp}/t.json"], "no text in the corpus"),
        (["{tmp}/blank.txt", "--out", "{out}", "--tokenizer", "{tmp}/t.json"], "no text in the corpus"),
        (["{tmp}/binary", "--out", "{out}"], "binary: invalid UTF-8 (0x89) at byte 1; convert it"),
        (["{corpus}", "--out", "{corpus}/x"], "corpus.txt cannot be written to; pass another folder"),
        (["{corpus}", "--out", "{tmp}/t.json"], "t.json: is a file; pass a folder"),
        (["{corpus}", "--out", "{tmp}"], "which belongs to the corpus; put the records elsewhere"),
        (["{corpus}", "--out", "{out}", "--tokenizer", "{tmp}/none.json"],
         "none.json: the tokenizer cannot be read (No such file or directory)"),
        (["{corpus}", "--out", "{out}", "--tokenizer", "{corpus}"], "a vocab.txt has one piece a line"),
        (["{corpus}", "--out", "{out}", "--tokenizer", "{tmp}/binary"], "not a tokenizer.json"),
        (["{corpus}", "--out", "{out}", "--tokenizer", "{tmp}/bare.json"], "the vocabulary lacks [CLS] or <s>"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_code_2(corpus, tmp_path, capsys, arguments, problem):
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "blank.txt").write_text(" \n\n\t\n")
    (tmp_path / "one.txt").write_text("a\n")
    (tmp_path / "binary").write_bytes(b"P\x89NG\x00\xff")
    tokenizer = json.loads(train_wordpiece([SENTENCES], 64).content)
    (tmp_path / "t.json").write_text(json.dumps(tokenizer))
    tokenizer["added_tokens"] = []
    tokenizer["model"]["vocab"] = {"[UNK]": 0, "a": 1}
    (tmp_path / "bare.json").write_text(json.dumps(tokenizer))
    places = {"corpus": corpus, "out": tmp_path / "new", "tmp": tmp_path}
    try:
        code = main(["build", *(argument.format(**places) for argument in arguments)])
    except SystemExit as stopped:
        code = stopped.code
    captured = capsys.readouterr()
    messages = [line for line in captured.err.splitlines() if not line.endswith("...")]
    assert code == 2
    assert len(messages) == 1, captured.err
    assert messages[0].startswith("maskcore build: ")
    assert problem in messages[0]
    assert captured.out == ""
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["show", "{tmp}"], "no MANIFEST.json"),
        (["show", "{tmp}/missing"], "no MANIFEST.json"),
        (["show", "{built}", "-n", "-1"], "--rows must be >= 0, got -1"),
        (["show", "{built}", "--epoch", "-1"], "epoch must be in [0, 2**31), got -1"),
        (["show"], "the following arguments are required: DIR"),
        ([], "the following arguments are required: COMMAND"),
        (["bake"], "invalid choice: 'bake'"),
    ],
)
def test_bad_arguments_of_other_commands(built, tmp_path, capsys, arguments, problem):
    try:
        code = main([argument.format(tmp=tmp_path, built=built) for argument in arguments])
    except SystemExit as stopped:
        code = stopped.code
    captured = capsys.readouterr()
    assert code == 2
    assert len(captured.err.splitlines()) == 1
    assert problem in captured.err


def test_debug_shows_the_traceback(tmp_path):
    arguments = ("build", tmp_path / "missing.txt", "--out", tmp_path / "r")
    plain, debug = run_command(*arguments), run_command(*arguments, "--debug")
    assert plain.returncode == 2 and "Traceback" not in plain.stderr
    assert debug.returncode == 1 and "Traceback" in debug.stderr and "no such file" in debug.stderr


def test_version_and_module():
    done = run_command("--version")
    assert (done.returncode, done.stdout) == (0, f"maskcore {maskcore.__version__}\n")


def test_without_rich_info_works_and_build_names_the_extra(corpus, tmp_path):
    (tmp_path / "hidden").mkdir()
    for name in ("rich", "tokenizers"):
        (tmp_path / "hidden" / f"{name}.py").write_text("raise ImportError('hidden')")
    path = os.pathsep.join([str(tmp_path / "hidden"), os.environ.get("PYTHONPATH", "")])
    assert run_command("info", PYTHONPATH=path).returncode == 0
    done = run_command("build", corpus, "--out", tmp_path / "r", PYTHONPATH=path)
    assert done.returncode == 2
    assert done.stderr.strip().endswith("pip install 'maskcore[build]'")
    assert len(done.stderr.splitlines()) == 1


def test_the_demo_tells_its_story(tmp_path):
    """The command behind `make demo`, TensorFlow included; its corpus is prose."""
    done = run_command("demo", "--out", tmp_path / "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    for part in (
        "maskcore build", "maskcore show", "maskcore info", "self-check", "through tf.data",
        "rows/s", "masks drawn while reading equal those stored in the records",
    ):  # fmt: skip
        assert part in done.stdout
    share = re.search(r"([\d.]+)% of the masked tokens are masked in both", done.stdout)
    assert 13 < float(share.group(1)) < 18  # 15 % of the tokens are masked, in each epoch anew
    topics, docstrings = (
        (tmp_path / "demo" / "corpus" / name).read_text(encoding="utf-8")
        for name in ("language-topics.txt", "stdlib-docstrings.txt")
    )
    assert min(len(topics), len(docstrings)) > 300_000
    assert "Assignment statements are used to (re)bind names to values" in topics
    assert "arithmetic mean" in docstrings
    assert "\n\n\n" not in topics + docstrings


@pytest.mark.parametrize("module", ["numpy", "maskcore._cli.build"])
def test_ctrl_c_while_libraries_load_is_one_line(module):
    """It was the traceback of an import; later only that of NumPy, which `import maskcore` needed."""
    program = (
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "from maskcore.__main__ import main\n"
        "sys.exit(main(['info']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "maskcore: interrupted\n")
