# SPDX-License-Identifier: Apache-2.0
"""Builds that are killed, run out of disk, meet another build or find something changed."""

import contextlib
import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from records_helpers import hashes

from maskcore import records
from maskcore.records import RecordsError
from maskcore.records.engine import engine
from maskcore.records.engine.plan import Plan
from maskcore.records.tokenising.tokenise import train_wordpiece

NUM_KILLS = 20
# Long enough for a process that is still to end, whatever else the machine does.
PATIENCE_SECONDS = 30
OPTIONS = {"seq_length": 32, "num_shards": 6, "mask_epochs": 3, "pairs": "sop", "workers": 2}
BUILD = (
    "import json, sys, maskcore.records as r\n"
    "corpus, out, tokenizer, options = sys.argv[1:]\n"
    "r.build(corpus, out, tokenizer=tokenizer, **json.loads(options))\n"
)
is_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc, or mounts a tmpfs")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Real prose in a few files, enough for a second of work."""
    folder = tmp_path_factory.mktemp("corpus")
    names = sorted(topics)
    for number in range(4):
        text = "\n\n".join(topics[name] for name in names[number::2])
        (folder / f"{number}.txt").write_text(text)
    return folder


@pytest.fixture(scope="module")
def tokenizer(corpus, tmp_path_factory):
    """A tokenizer.json trained on the corpus."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_bytes(train_wordpiece([(corpus / "0.txt").read_text().split("\n")], 1500).content)
    return path


@pytest.fixture(scope="module")
def undisturbed(corpus, tokenizer, tmp_path_factory):
    """The hashes of a build that nothing happened to."""
    out = tmp_path_factory.mktemp("undisturbed") / "records"
    records.build(corpus, out, tokenizer=tokenizer, **OPTIONS)
    return hashes(out)


def start(corpus, out, tokenizer, **options):
    arguments = [corpus, out, tokenizer, json.dumps({**OPTIONS, **options})]
    command = [sys.executable, "-c", BUILD, *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def finish(process):
    _, errors = process.communicate(timeout=PATIENCE_SECONDS * 4)
    return process.returncode, errors


def children(pid):
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def wait_for(condition, process=None):
    """Wait until something is there; return whether it is, or the process ended before."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if process is not None and process.poll() is not None:
            return False
        assert time.monotonic() < give_up
        time.sleep(0.002)
    return True


def is_finished(out):
    return (out / "MANIFEST.json").exists() and not (out / "_build").exists()


def kill_at_random(process, out, draw):
    """Kill the build, or one of its workers, at a random moment of its work; return who was hit."""
    if not wait_for((out / "_build" / "_plan.json").exists, process):
        return "nobody"
    # Most of the work is done within a second; all of it within two.
    time.sleep(draw.choice([0.3, 1.0, 2.0]) * draw.random())
    workers = children(process.pid)
    victim = draw.choice([process.pid, draw.choice(workers or [process.pid])])
    with contextlib.suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)
    _, errors = finish(process)
    give_up = time.monotonic() + PATIENCE_SECONDS
    while any(is_alive(pid) for pid in workers):
        assert time.monotonic() < give_up, "a worker outlived its parent"
        time.sleep(0.002)
    if process.returncode == 0:
        return "nobody"
    if victim == process.pid:
        assert process.returncode == -signal.SIGKILL
        assert errors == ""
        return "parent"
    last = errors.strip().splitlines()[-1]
    assert "was killed by SIGKILL" in last
    assert "run the same command again to resume" in last
    return "worker"


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@is_linux
def test_killed_at_any_moment_and_resumed(corpus, tokenizer, undisturbed, tmp_path):
    """However often a build is killed, what comes out is what an undisturbed one makes."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it where the test fails
    draw = random.Random(seed)
    hits = {"parent": 0, "worker": 0, "nobody": 0}
    number = 0
    while hits["parent"] + hits["worker"] < NUM_KILLS:
        assert hits["nobody"] < 3 * NUM_KILLS
        out = tmp_path / f"{number}"
        number += 1
        for _ in range(draw.choice([1, 2, 4])):
            hits[kill_at_random(start(corpus, out, tokenizer), out, draw)] += 1
            if is_finished(out):
                break
            # What stands beside `_build` before the end is complete, and has no manifest.
            assert (out / "_build").exists() or not out.exists() or not os.listdir(out)
        if not is_finished(out):
            code, errors = finish(start(corpus, out, tokenizer))
            assert code == 0, errors
        assert hashes(out) == undisturbed
        assert records.open(out).manifest.num_rows > 1000
        shutil.rmtree(out)
    assert hits["parent"] > 0
    assert hits["worker"] > 0


def is_serving(pid):
    try:
        return b"serve()" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


@is_linux
def test_the_lock_lasts_as_long_as_the_workers(corpus, tokenizer, undisturbed, tmp_path):
    """A worker of a dead build could otherwise put its file among those of the next one."""
    out = tmp_path / "r"
    process = start(corpus, out, tokenizer)
    # One that has not begun to run Python still holds the pipes of its parent.
    assert wait_for(lambda: sum(map(is_serving, children(process.pid))) == 2, process)
    workers = children(process.pid)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    process.kill()
    finish(process)
    with (out / "_build" / "lock").open("rb") as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    resumed = start(corpus, out, tokenizer)
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    code, errors = finish(resumed)
    assert code == 0, errors
    assert hashes(out) == undisturbed


@is_linux
@pytest.mark.parametrize("moment", [0.0, 0.2, 0.6])
def test_ctrl_c_stops_cleanly_and_says_how_to_resume(
    corpus, tokenizer, undisturbed, tmp_path, moment
):
    """The terminal sends it to all processes of the group."""
    out = tmp_path / "r"
    command = [
        sys.executable,
        "-m",
        "maskcore",
        "build",
        corpus,
        "--out",
        out,
        "--tokenizer",
        tokenizer,
    ]
    command += [
        "--seq-length",
        "32",
        "--num-shards",
        "6",
        "--mask-epochs",
        "3",
        "--pairs",
        "sop",
        "--workers",
        "2",
    ]
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert wait_for((out / "_build" / "_plan.json").exists, process)
    time.sleep(moment)
    workers = children(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    code, errors = finish(process)
    assert "Traceback" not in errors
    assert not any(is_alive(pid) for pid in workers)
    if not is_finished(out):
        assert code == 130
        assert "interrupted" in errors.splitlines()[-1]
        assert "same command" in errors.splitlines()[-1]
        records.build(corpus, out, tokenizer=tokenizer, **OPTIONS)
    assert hashes(out) == undisturbed


@contextlib.contextmanager
def mounted(folder, options):
    """A small file system of its own."""
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a tmpfs")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", folder],
        check=False,
        capture_output=True,
        text=True,
    )
    if made.returncode != 0:
        pytest.skip(f"a tmpfs cannot be mounted here: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@is_linux
@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_one_line_and_resumable(corpus, tokenizer, undisturbed, tmp_path, workers):
    with mounted(tmp_path / "disk", "size=8m") as disk:
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(free - (3 << 20)))  # enough for the text, not for the records
        out = disk / "r"
        code, errors = finish(start(corpus, out, tokenizer, workers=workers))
        assert code == 1
        assert errors.strip().splitlines()[-1] == (
            f"maskcore.records._errors.RecordsError: {out}: no space left on the disk; what is "
            "finished is kept: free some and run the same command again to resume, or remove the "
            "folder"
        )
        assert (out / "_build" / "_plan.json").exists()
        assert not list(out.rglob("*.attempt"))
        ballast.unlink()
        code, errors = finish(start(corpus, out, tokenizer, workers=workers))
        assert code == 0, errors
        assert hashes(out) == undisturbed


@is_linux
def test_a_read_only_disk_is_refused(corpus, tokenizer, tmp_path):
    with mounted(tmp_path / "disk", "size=8m,ro") as disk:
        with pytest.raises(
            RecordsError, match=r"r: .*disk cannot be written to; pass another folder"
        ):
            records.build(corpus, disk / "r", tokenizer=tokenizer)
        assert os.listdir(disk) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(corpus, tokenizer, tmp_path):
    (tmp_path / "kept").mkdir(mode=0o555)
    with pytest.raises(RecordsError, match="cannot be written to; pass another folder"):
        records.build(corpus, tmp_path / "kept" / "r", tokenizer=tokenizer)


def test_a_second_build_into_the_folder_is_refused_at_once(
    corpus, tokenizer, undisturbed, tmp_path
):
    out = tmp_path / "r"
    refusals = []

    def build_meanwhile(progress):
        if progress.stage == "build" and not refusals:
            code, errors = finish(start(corpus, out, tokenizer))
            refusals.append((code, errors.strip().splitlines()[-1]))

    records.build(corpus, out, tokenizer=tokenizer, **OPTIONS, on_progress=build_meanwhile)
    assert refusals == [
        (
            1,
            f"maskcore.records._errors.RecordsError: {out}: another build is at work there (process "
            f"{os.getpid()}); wait until it ends, or pass another folder",
        )
    ]
    assert hashes(out) == undisturbed


class StoppedError(Exception):
    """Raised by a user's function."""


def stop_when(stage, units_done):
    def look(progress):
        if progress.stage == stage and progress.units_done >= units_done:
            raise StoppedError

    return look


@pytest.fixture
def begun(corpus, tokenizer, tmp_path):
    """A copy of the corpus, and a build of it that has finished two units."""
    copied, out = tmp_path / "corpus", tmp_path / "r"
    shutil.copytree(corpus, copied)  # with the times of change
    options = {**OPTIONS, "workers": 1, "tokenizer": tokenizer}
    with pytest.raises(StoppedError):
        records.build(copied, out, **options, on_progress=stop_when("build", 2))
    return copied, out, options


def refused(match, corpus, out, options):
    before = sorted(path for path in out.rglob("*") if path.name != "lock")
    with pytest.raises(RecordsError, match=match) as caught:
        records.build(corpus, out, **options)
    assert "pass --overwrite to begin anew" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(path for path in out.rglob("*") if path.name != "lock") == before


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"seq_length": 64}, r"seq_length was 32, is 64; .*bins was \[32\], is \[64\]"),
        ({"pairs": "none"}, "pairs was sop, is none; short_seq_prob was 0.1, is 0.0"),
        ({"mask": records.MaskConfig(seed=5)}, "something else: mask.seed was 0, is 5. Run"),
        ({"num_shards": 7}, "something else: num_shards was 6, is 7. Run"),
        ({"layout": "compact"}, "something else: layout was int64, is compact. Run"),
        ({"on_bad_text": "skip"}, "something else: on_bad_text was error, is skip. Run"),
    ],
)
def test_a_changed_option_is_refused_by_name(begun, changed, match):
    corpus, out, options = begun
    refused(match, corpus, out, {**options, **changed})


def test_a_changed_tokenizer_is_refused(begun, tmp_path):
    corpus, out, options = begun
    settings = json.loads(options["tokenizer"].read_text())
    vocabulary = settings["model"]["vocab"]
    vocabulary["zzz"] = len(vocabulary)
    other = tmp_path / "other.json"
    other.write_text(json.dumps(settings))
    match = r"the tokenizer's sha256 was [0-9a-f]{12}…, is [0-9a-f]{12}…\. Run"
    refused(match, corpus, out, {**options, "tokenizer": other})
    refused("the tokenizer's sha256 was .*, is none", corpus, out, {**options, "tokenizer": None})


def test_a_changed_input_is_refused(begun):
    corpus, out, options = begun
    (corpus / "new.txt").write_text("More.\n")
    refused(r"something else: input new\.txt is new\. Run", corpus, out, options)
    (corpus / "new.txt").unlink()
    content = (corpus / "1.txt").read_bytes()
    (corpus / "1.txt").write_bytes(content + b"More.\n")
    was, now = len(content), len(content) + 6
    refused(rf"input 1\.txt had {was} bytes, has {now}\. Run", corpus, out, options)
    (corpus / "1.txt").unlink()
    refused(r"input 1\.txt is gone\. Run", corpus, out, options)
    (corpus / "1.txt").write_bytes(content.swapcase())  # as long as it was
    refused(r"input 1\.txt has changed since it was read\. Run", corpus, out, options)


def test_reading_goes_on_slice_by_slice(corpus, tokenizer, undisturbed, tmp_path, monkeypatch):
    """What was read stays read, and must not have changed; what was not read yet may be anything."""
    monkeypatch.setattr(sys.modules[Plan.__module__], "SMALL_SLICE_BYTES", 50_000)
    monkeypatch.setattr(engine, "SECONDS_BETWEEN_REPORTS", 0)
    copied, out = tmp_path / "corpus", tmp_path / "r"
    shutil.copytree(corpus, copied)
    options = {**OPTIONS, "workers": 1, "tokenizer": tokenizer}
    with pytest.raises(StoppedError):
        records.build(copied, out, **options, on_progress=stop_when("read", 3))
    read = (copied / "0.txt").read_bytes()
    (copied / "0.txt").write_bytes(read.swapcase())
    refused(r"input 0\.txt has changed since it was read\. Run", copied, out, options)
    (copied / "0.txt").write_bytes(read)
    not_read = (copied / "3.txt").read_bytes()
    (copied / "3.txt").write_bytes(not_read.swapcase())
    with pytest.raises(StoppedError):
        records.build(copied, out, **options, on_progress=stop_when("read", 5))
    (copied / "3.txt").write_bytes(not_read)
    seen = []
    records.build(copied, out, **options, on_progress=seen.append)
    assert seen[0].stage == "read"
    assert seen[0].units_done >= 5
    shards = {name: digest for name, digest in hashes(out).items() if name.startswith("part-")}
    assert shards.items() <= undisturbed.items()
    assert len(shards) == 6


def test_an_input_that_was_only_touched_is_the_same(begun, undisturbed):
    corpus, out, options = begun
    os.utime(corpus / "1.txt", ns=(1, 1))
    records.build(corpus, out, **options)
    assert hashes(out) == undisturbed


def test_an_input_that_changes_while_it_is_read_is_an_error(corpus, tokenizer, tmp_path):
    copied = tmp_path / "corpus"
    shutil.copytree(corpus, copied)

    def append(progress):
        if progress.stage == "read" and progress.units_done == 0:
            with (copied / "3.txt").open("a") as stream:
                stream.write("More.\n")

    with pytest.raises(RecordsError, match=r"3\.txt: changed while it was read"):
        records.build(copied, tmp_path / "r", tokenizer=tokenizer, on_progress=append)
    assert not (tmp_path / "r").exists()


def test_overwrite_begins_anew_and_keeps_old_records_until_the_end(begun, undisturbed):
    corpus, out, options = begun
    records.build(corpus, out, **options)
    assert hashes(out) == undisturbed
    other = {**options, "seq_length": 48, "overwrite": True}
    with pytest.raises(StoppedError):
        records.build(corpus, out, **other, on_progress=stop_when("build", 3))
    assert {
        name: h for name, h in hashes_of_files(out).items() if name in undisturbed
    } == undisturbed
    assert len(records.open(out)) > 1000
    records.build(corpus, out, **other)
    assert records.open(out).manifest.seq_length == 48
    assert not (out / "_build").exists()
    records.build(corpus, out, **options, overwrite=True)
    assert hashes(out) == undisturbed


def hashes_of_files(folder):
    return hashes(folder, [name for name in os.listdir(folder) if name != "_build"])


def test_damaged_leftovers_are_built_again(begun, undisturbed):
    """A unit whose file is not whole is done again; with `verify` also one whose bytes are others."""
    corpus, out, options = begun
    parts = sorted((out / "_build").glob("part-*"))
    assert len(parts) >= 2
    with parts[0].open("ab") as stream:
        stream.write(b"x")
    content = bytearray(parts[1].read_bytes())
    content[100] ^= 1
    parts[1].write_bytes(content)
    (out / "_build" / "units" / "00004.json.1-aa.attempt").write_text("half")
    # What a power cut may leave of a file that was not flushed.
    (out / "_build" / "units" / "00001.json").write_bytes(b"")
    (out / "_build" / "spill" / "000000.json").write_bytes(bytes(100))
    records.build(corpus, out, **options, verify=True)
    assert hashes(out) == undisturbed


@pytest.mark.parametrize("num_kept", [None, 0, -1])
def test_text_that_is_gone_is_read_again(begun, undisturbed, num_kept):
    """A commit point of reading was believed without its run, so that no resumption could succeed."""
    corpus, out, options = begun
    [run] = (out / "_build" / "spill").glob("*.run")
    if num_kept is None:
        run.unlink()
    else:
        run.write_bytes(run.read_bytes()[:num_kept])
    records.build(corpus, out, **options)
    assert hashes(out) == undisturbed


@pytest.mark.parametrize("moment", range(8))
def test_publication_that_is_cut_short_is_finished(begun, monkeypatch, moment):
    """StoppedError at each rename, with old records in the folder: the manifest is there only with its files."""
    corpus, out, options = begun
    records.build(corpus, out, **options)
    other = {**options, "num_shards": 3, "seq_length": 48}
    done = []
    real = os.replace

    def replace(source, target):
        if Path(target).parent == out:
            if len(done) == moment:
                raise StoppedError
            done.append(target)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with contextlib.suppress(StoppedError):
        records.build(corpus, out, **other, overwrite=True)
    monkeypatch.undo()
    if (out / "MANIFEST.json").exists():
        assert len(records.open(out)) > 0
    else:
        records.build(corpus, out, **other)
    assert records.open(out).manifest.seq_length == 48
    names = {f"part-0000{shard}-of-00003.tfrecord" for shard in range(3)}
    assert set(os.listdir(out)) == names | {
        "MANIFEST.json", "report.html", "report.json", "tokenizer.json",
    }  # fmt: skip
