"""The compiled extension is linked and compiled such that errors of memory are hard to exploit."""

import platform
import sys
from pathlib import Path

import pytest

from gprat import _core

elffile = pytest.importorskip("elftools.elf.elffile")
enums = pytest.importorskip("elftools.elf.enums")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="not an ELF file")


@pytest.fixture(scope="module")
def extension():
    with Path(_core.__file__).open("rb") as file:
        yield elffile.ELFFile(file)


def entries(extension):
    """Yield the entries of the dynamic section."""
    yield from extension.get_section_by_name(".dynamic").iter_tags()


def segments(extension, kind):
    return [s for s in extension.iter_segments() if s["p_type"] == kind]


def symbols(extension):
    """Return the names that the extension wants of others, and those that it shows to others."""
    table = list(extension.get_section_by_name(".dynsym").iter_symbols())
    wanted = {s.name for s in table if s["st_shndx"] == "SHN_UNDEF"}
    shown = {s.name for s in table if s["st_shndx"] != "SHN_UNDEF" and s.name}
    return wanted, shown


def test_addresses_are_resolved_on_loading_and_read_only_from_then_on(extension):
    flags = {tag.entry.d_tag: tag.entry.d_val for tag in entries(extension)}
    now = flags.get("DT_FLAGS", 0) & enums.ENUM_DT_FLAGS["DF_BIND_NOW"]
    now_1 = flags.get("DT_FLAGS_1", 0) & enums.ENUM_DT_FLAGS_1["DF_1_NOW"]
    assert "DT_BIND_NOW" in flags or now or now_1
    assert len(segments(extension, "PT_GNU_RELRO")) == 1


def test_no_memory_is_writable_and_executable(extension):
    write, execute = 2, 1
    (stack,) = segments(extension, "PT_GNU_STACK")
    for segment in [stack, *segments(extension, "PT_LOAD")]:
        assert segment["p_flags"] & (write | execute) != (write | execute)
    tags = {tag.entry.d_tag for tag in entries(extension)}
    assert "DT_TEXTREL" not in tags


def test_libraries_are_found_beside_the_extension_only(extension):
    paths = [tag for tag in entries(extension) if tag.entry.d_tag in ("DT_RPATH", "DT_RUNPATH")]
    folders = [
        folder
        for tag in paths
        for folder in (tag.rpath if tag.entry.d_tag == "DT_RPATH" else tag.runpath).split(":")
    ]
    assert folders == ["$ORIGIN/_libs"]


def test_stacks_are_protected_and_calls_of_libc_checked(extension):
    wanted, _ = symbols(extension)
    assert "__stack_chk_fail" in wanted
    is_sanitized = any(name.startswith(("__asan_", "__tsan_", "__ubsan_")) for name in wanted)
    if platform.libc_ver()[0] == "glibc" and not is_sanitized:
        fortified = {name for name in wanted if name.endswith("_chk")}
        assert fortified


def test_only_the_initialiser_is_shown_to_others(extension):
    _, shown = symbols(extension)
    assert shown == {"PyInit__core"}
