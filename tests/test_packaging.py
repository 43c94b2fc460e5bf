# SPDX-License-Identifier: Apache-2.0
"""What a wheel holds, what its compiled files export and need, and what is built where nothing compiles.

Wheels are built from this checkout without isolation; `make wheels` does the same for other systems.
Knows nothing of masks but that the wheels give the known answers.
"""

from __future__ import annotations

import email
import os
import platform
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from wheel_contents import SharedLibrary, names_in, shared_libraries_in, tag_of

ROOT = Path(__file__).parents[1]
# Extensions of the records, which export nothing but their entry points.
RECORDS_EXTENSIONS = ("_native", "_word_cache")
COMPILED = {
    "maskcore/_core.abi3.so",
    "tfshim/_tfop.so",
    *(f"maskcore/records/{name}.abi3.so" for name in RECORDS_EXTENSIONS),
}
# The functions of csrc/maskcore.h, and the entry point of the extension module.
CORE_EXPORTS = {
    "PyInit__core",
    "maskcore_active_simd_level",
    "maskcore_mask_row_range",
    "maskcore_mask_rows",
    "maskcore_philox4x32_10",
    "maskcore_simd_level",
    "maskcore_use_simd_level",
}


def build(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pip wheel into `folder`; the build folder is not that of an editable install."""
    settings = f"build-dir={ROOT / 'build' / 'test-packaging' / '-'.join(environment) / 'cmake'}"
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--no-build-isolation"]
    command += ["--verbose", "--wheel-dir", str(folder), "--config-settings", settings]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MASKCORE_")}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=inherited | environment
    )


def built_wheel(folder: Path, **environment: str) -> Path:
    """Build, and return the one wheel that came of it."""
    result = build(folder, **environment)
    assert result.returncode == 0, result.stdout + result.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def native_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_wheel(tmp_path_factory.mktemp("native"))


@pytest.fixture(scope="module")
def pure_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_wheel(tmp_path_factory.mktemp("pure"), MASKCORE_PURE="1")


@pytest.fixture(scope="module")
def libraries(native_wheel: Path) -> dict[str, SharedLibrary]:
    return shared_libraries_in(native_wheel)


def python_files() -> set[str]:
    """Return the names that every wheel must hold, as they are in the checkout."""
    source = ROOT / "src"
    found = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.suffix in {".py", ".pyi", ".jinja"}
    }
    assert {"maskcore/__init__.py", "maskcore/_core.pyi", "tfshim/__init__.py"} <= found
    return found | {
        "maskcore/py.typed",
        "maskcore/records/reporting/report.html.jinja",
        "tfshim/py.typed",
    }


def check_installed(wheel: Path, folder: Path, backend: str) -> str:
    """Install a wheel into a folder, run tools/check_installed.py on it, and return what it printed.

    Without `site`, so that an editable install in this environment is not found first.
    """
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(folder)]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    path = os.pathsep.join([str(folder), sysconfig.get_path("purelib")])
    result = subprocess.run(
        [sys.executable, "-S", str(ROOT / "tools" / "check_installed.py"), backend],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_one_native_wheel_serves_every_cpython(native_wheel: Path) -> None:
    assert tag_of(native_wheel) == f"cp311-abi3-linux_{platform.machine()}"


def test_native_wheel_holds_both_packages_and_nothing_else(native_wheel: Path) -> None:
    assert names_in(native_wheel) == python_files() | COMPILED


def test_metadata(native_wheel: Path) -> None:
    with zipfile.ZipFile(native_wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    assert metadata["Name"] == "maskcore"
    assert metadata["Version"] == "0.1.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    extras = set(metadata.get_all("Provides-Extra", []))
    records = {"build", "parquet", "zstd", "sentencepiece", "remote"}
    assert extras == records | {"numba", "tensorflow", "all"}
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert required == ["numpy>=1.24"]


def test_extension_exports_its_entry_point_and_the_c_abi(
    libraries: dict[str, SharedLibrary],
) -> None:
    assert libraries["maskcore/_core.abi3.so"].exported == CORE_EXPORTS


@pytest.mark.parametrize("name", RECORDS_EXTENSIONS)
def test_records_extensions_export_their_entry_points_and_need_no_cxx_runtime(
    libraries: dict[str, SharedLibrary], name: str
) -> None:
    extension = libraries[f"maskcore/records/{name}.abi3.so"]
    assert extension.exported == {f"PyInit_{name}"}
    assert not [name for name in extension.imported if name.startswith(("_Z", "__cxa_throw"))]
    assert not [name for name in extension.needed if "stdc++" in name]


def test_op_exports_one_question(libraries: dict[str, SharedLibrary]) -> None:
    assert libraries["tfshim/_tfop.so"].exported == {"maskcore_tf_missing_function"}


def test_op_is_tied_to_no_tensorflow_and_no_cxx_runtime(
    libraries: dict[str, SharedLibrary],
) -> None:
    op = libraries["tfshim/_tfop.so"]
    assert not [name for name in op.imported if name.startswith(("TF_", "_Z", "__cxa_throw"))]
    assert not [name for name in op.needed if "tensorflow" in name or "stdc++" in name]


def test_native_wheel_works_on_the_best_level_of_this_machine(
    native_wheel: Path, tmp_path: Path
) -> None:
    printed = check_installed(native_wheel, tmp_path, "native")
    assert "native: known answers checked" in printed
    assert "op library: loads without TensorFlow" in printed
    assert "records: native codec" in printed


def test_pure_wheel_holds_both_packages_and_nothing_compiled(pure_wheel: Path) -> None:
    assert tag_of(pure_wheel) == "py3-none-any"
    assert names_in(pure_wheel) == python_files()


def test_pure_wheel_works_on_numba_and_says_so(pure_wheel: Path, tmp_path: Path) -> None:
    printed = check_installed(pure_wheel, tmp_path, "numba")
    assert "numba: known answers checked" in printed
    assert "maskcore runs on its slower 'numba' backend. 'native' is missing" in printed
    assert "records: numpy codec" in printed


def test_no_compiler_gives_the_pure_wheel_and_says_so(tmp_path: Path) -> None:
    result = build(tmp_path, CC="false", CXX="false")
    assert result.returncode == 0, result.stdout + result.stderr
    assert [tag_of(wheel) for wheel in tmp_path.glob("*.whl")] == ["py3-none-any"]
    printed = " ".join((result.stdout + result.stderr).split())
    assert (
        "The native kernel did not compile (see above): this is the pure-Python wheel." in printed
    )
    assert "pip install 'maskcore[numba]'" in printed


def test_no_compiler_is_an_error_where_the_native_kernel_is_required(tmp_path: Path) -> None:
    result = build(tmp_path, CC="false", CXX="false", MASKCORE_REQUIRE_NATIVE="1")
    assert result.returncode != 0
    assert not list(tmp_path.glob("*.whl"))
    assert "maskcore was not built. With MASKCORE_PURE=1" in result.stdout + result.stderr


def check_system(folder: Path, python: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run tools/check-system where PATH holds what is in `folder`, and bash."""
    (folder / "bash").symlink_to("/bin/bash")
    return subprocess.run(
        ["/bin/bash", ROOT / "tools" / "check-system", python],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(folder), **environment},
    )


def fake_python(folder: Path, *, lacks: str) -> None:
    """Make a `python3` that fails where its code speaks of `lacks`."""
    script = folder / "python3"
    script.write_text(f'#!/bin/bash\n[[ "$*" != *{lacks}* ]]\n')
    script.chmod(0o755)


def test_missing_python_names_its_package(tmp_path: Path) -> None:
    result = check_system(tmp_path, "python3")
    assert result.returncode == 1
    assert result.stderr == (
        "error: there is no python3. On Debian: apt-get install python3 python3-venv python3-dev\n"
    )


def test_old_python_is_named(tmp_path: Path) -> None:
    fake_python(tmp_path, lacks="version_info")
    result = check_system(tmp_path, "python3")
    assert result.returncode == 1
    assert "maskcore needs Python 3.11 or newer" in result.stderr


@pytest.mark.parametrize(
    ("lacks", "packages"),
    [("ensurepip", "python3-venv g++"), ("Python.h", "python3-dev g++"), ("nothing", "g++")],
)
def test_missing_packages_are_named_together(tmp_path: Path, lacks: str, packages: str) -> None:
    fake_python(tmp_path, lacks=lacks)
    result = check_system(tmp_path, "python3")
    assert result.returncode == 1
    assert f"On Debian: apt-get install {packages}\n" in result.stderr


def test_pure_package_needs_no_compiler(tmp_path: Path) -> None:
    fake_python(tmp_path, lacks="Python.h")
    result = check_system(tmp_path, "python3", MASKCORE_PURE="1")
    assert (result.returncode, result.stderr) == (0, "")
