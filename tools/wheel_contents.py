# SPDX-License-Identifier: Apache-2.0
"""What is in a wheel of maskcore, and what its compiled files export and need.

Owns the reading of wheels and ELF files; what they should hold is said by the callers, which are
test_wheels.py and the tests.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import NamedTuple

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from elftools.elf.sections import SymbolTableSection

__all__ = ["SharedLibrary", "names_in", "shared_libraries_in", "tag_of"]


class SharedLibrary(NamedTuple):
    """What the dynamic linker sees of a compiled file."""

    machine: str
    """As in the ELF header, such as EM_X86_64."""
    exported: frozenset[str]
    imported: frozenset[str]
    needed: frozenset[str]
    """Names of the libraries that it asks for."""
    newest_glibc: tuple[int, ...]
    """The newest version of glibc whose symbols it uses."""


def tag_of(wheel: Path) -> str:
    """Return the tags in a wheel's name: Python, ABI and platform."""
    return wheel.stem.split("-", 2)[2]


def names_in(wheel: Path) -> frozenset[str]:
    """Return the names of the files in a wheel, without those of its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return frozenset(name for name in archive.namelist() if ".dist-info/" not in name)


def shared_libraries_in(wheel: Path) -> dict[str, SharedLibrary]:
    """Return the compiled files in a wheel by their names there."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: _read_shared_library(archive.read(name))
            for name in archive.namelist()
            if name.endswith(".so")
        }


def _read_shared_library(content: bytes) -> SharedLibrary:
    symbols: dict[bool, set[str]] = {True: set(), False: set()}  # by: is it defined here?
    needed, glibc = set(), [(0,)]
    elf = ELFFile(io.BytesIO(content))
    for section in elf.iter_sections():
        if isinstance(section, SymbolTableSection) and section.name == ".dynsym":
            for symbol in section.iter_symbols():
                if symbol["st_info"]["bind"] != "STB_LOCAL":
                    symbols[symbol["st_shndx"] != "SHN_UNDEF"].add(symbol.name)
        elif isinstance(section, DynamicSection):
            needed |= {tag.needed for tag in section.iter_tags("DT_NEEDED")}
        elif isinstance(section, GNUVerNeedSection):
            glibc += [
                tuple(map(int, version.name.removeprefix("GLIBC_").split(".")))
                for _, versions in section.iter_versions()
                for version in versions
                if version.name.startswith("GLIBC_")
            ]
    return SharedLibrary(
        elf["e_machine"],
        frozenset(symbols[True]),
        frozenset(symbols[False]),
        frozenset(needed),
        max(glibc),
    )
