"""Wheels with compiled code: tiny shared objects, made by this machine's compiler, some of them lying."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")

PLAIN = "int answer(void) { return 42; }\n"
OLD = "#include <string.h>\nunsigned long f(const char *s) { return strlen(s); }\n"
POINTERS = "static int a;\nint *p[64] = {&a, &a, &a};\nint f(void) { return *p[1]; }\n"
NEW = (  # dlopen has lain in libc.so.6 since glibc 2.34
    '__asm__(".symver dlopen,dlopen@GLIBC_2.34");\nextern void *dlopen(const char *, int);\n'
    "void *f(void) { return dlopen(0, 1); }\n"
)


def compiled(folder: Path, code: str, name: str = "ext.so", options: Sequence[str] = ()) -> bytes:
    """A shared object."""
    source, target = folder / "source.c", folder / name
    source.write_text(code)
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(target), str(source), *options], check=True)
    return target.read_bytes()


def library(folder: Path, soname: str) -> Path:
    """A library that exists only to be needed."""
    target = folder / soname
    source = folder / "needed.c"
    source.write_text("int needed(void) { return 1; }\n")
    command = ["gcc", "-shared", "-fPIC", "-nostdlib", f"-Wl,-soname,{soname}", "-o", str(target), str(source)]
    subprocess.run(command, check=True)
    return target


def needing(folder: Path, soname: str, *options: str) -> bytes:
    """A shared object that needs a library of that name."""
    code = "extern int needed(void);\nint f(void) { return needed(); }\n"
    return compiled(folder, code, "needing.so", [str(library(folder, soname)), *options])


def needing_version(folder: Path, soname: str, version: str) -> bytes:
    """A shared object that needs one symbol of a library, in that version."""
    versions = folder / "versions"
    versions.write_text(f"{version} {{ global: versioned; }};\n")
    source, target = folder / "versioned.c", folder / soname
    source.write_text("int versioned(void) { return 1; }\n")
    command = ["gcc", "-shared", "-fPIC", "-nostdlib", f"-Wl,-soname,{soname}", f"-Wl,--version-script={versions}"]
    subprocess.run([*command, "-o", target, source], check=True)
    code = "extern int versioned(void);\nint f(void) { return versioned(); }\n"
    return compiled(folder, code, "versioned.so", ["-nostdlib", str(target)])


def program_of(folder: Path, *options: str) -> bytes:
    """A program."""
    source, target = folder / "program.c", folder / "program"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-o", target, source, *options], check=True)
    return target.read_bytes()


def compiled_wheel(
    folder: Path,
    members: Mapping[str, bytes],
    tag: str = "cp311-cp311-linux_x86_64",
    *,
    name: str = "acme",
    version: str = "1.0",
    mode: int = 0o100755,
) -> Path:
    """A wheel of these files."""
    python, abi, platforms = tag.rsplit("-", 2)
    tags = "".join(f"Tag: {python}-{abi}-{platform}\n" for platform in platforms.split("."))
    info = f"{name}-{version}.dist-info"
    files = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: false\n{tags}".encode(),
    }
    record = "".join(f"{path},sha256={_digest(data)},{len(data)}\n" for path, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in files.items():
            entry = zipfile.ZipInfo(member, (2024, 1, 2, 3, 4, 6))
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, mode << 16
            archive.writestr(entry, data)
    return path


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
