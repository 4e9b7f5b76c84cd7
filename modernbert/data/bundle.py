"""Bundles: folders of tasks and models with checksums, for machines without a network.

Layout: `<family>/<task>/<split>.jsonl`, `models/<name>/...`, and `SHA256SUMS` in the format of the
`sha256sum` command.
"""

from __future__ import annotations

from pathlib import Path

from modernbert.errors import BadData
from modernbert.files import atomic_file, sha256

CHECKSUMS = "SHA256SUMS"


def read_checksums(bundle: Path) -> dict[str, str]:
    """Return {path relative to the bundle: SHA-256}; empty when the bundle has no checksum file.

    Raises:
        BadData: a line of the checksum file is malformed.
    """
    path = bundle / CHECKSUMS
    if not path.is_file():
        return {}
    sums = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        digest, separator, name = line.partition("  ")
        if len(digest) != 64 or not separator or not name:
            raise BadData("not a checksum line", where=f"{path}, line {number}")
        sums[name] = digest
    return sums


def add_checksums(bundle: Path, files: list[Path]) -> None:
    """Record the checksums of `files`, keeping those of other files in the bundle."""
    sums = read_checksums(bundle) | {file.relative_to(bundle).as_posix(): sha256(file) for file in files}
    with atomic_file(bundle / CHECKSUMS) as out:
        out.writelines(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))


def verify(bundle: Path, path: Path) -> str:
    """Check a file (or every file of a folder) against the bundle's checksums.

    Returns:
        "verified", or "no checksums" when the bundle carries none.

    Raises:
        BadData: a checksum differs, or is missing from a bundle that has checksums.
    """
    sums = read_checksums(bundle)
    if not sums:
        return "no checksums"
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_dir():
            continue
        expected = sums.get(file.relative_to(bundle).as_posix())
        if expected != sha256(file):
            what = "its checksum is not in the bundle" if expected is None else "its checksum differs"
            raise BadData(
                f"{what}: the file was changed or damaged after the bundle was made",
                where=str(file),
                fix="Fetch it again with `mbert download`.",
            )
    return "verified"
