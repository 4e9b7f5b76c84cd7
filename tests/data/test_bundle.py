"""Bundles: checksums as `sha256sum` writes them, any change refused."""

from __future__ import annotations

import hashlib
import os
import subprocess

import pytest

from modernbert.data.bundle import add_checksums, read_checksums, verify, write_checksums
from modernbert.errors import BadData


@pytest.fixture
def bundle(tmp_path):
    for name in ("glue/sst2/train.jsonl", "models/tiny/config.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.fixture
def listed(bundle):
    """A bundle with checksums."""
    for folder in ("glue/sst2", "models/tiny"):
        write_checksums(bundle / folder)
    add_checksums(bundle)
    return bundle


def sha256sum(bundle):
    return subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=bundle, capture_output=True)


def test_checksums_have_sha256sums_own_format(listed):
    digest = hashlib.sha256(b"glue/sst2/train.jsonl").hexdigest()
    assert (listed / "SHA256SUMS").read_text().startswith(f"{digest}  glue/sst2/train.jsonl\n")
    assert verify(listed, listed / "glue/sst2/train.jsonl") == "verified"
    assert verify(listed, listed / "models/tiny") == "verified"


def test_a_change_an_extra_file_and_a_missing_one_are_refused(listed):
    (listed / "models/tiny/extra.json").write_text("{}")
    with pytest.raises(BadData, match="its checksum is not in the bundle"):
        verify(listed, listed / "models/tiny")
    (listed / "models/tiny/extra.json").unlink()
    (listed / "models/tiny/config.json").write_text("changed")
    with pytest.raises(BadData, match="its checksum differs"):
        verify(listed, listed / "models/tiny")
    (listed / "models/tiny/config.json").unlink()
    with pytest.raises(BadData, match=r"config\.json: the file is gone from the bundle"):
        verify(listed, listed / "models/tiny")


def test_the_lines_of_older_versions_stay_and_count(listed):
    """They wrote one list for the bundle, and none into the folders."""
    (listed / "glue/sst2/SHA256SUMS").unlink()
    add_checksums(listed)
    assert verify(listed, listed / "glue/sst2/train.jsonl") == "verified"
    (listed / "glue/sst2/train.jsonl").write_text("changed")
    with pytest.raises(BadData, match="its checksum differs"):
        verify(listed, listed / "glue/sst2/train.jsonl")


@pytest.mark.parametrize("where", [".", "models/tiny"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xff\xfe", "not UTF-8"),
        (b"nonsense\n", "line 1: not a checksum line"),
        (None, "cannot be read"),
    ],
)
def test_a_damaged_list_is_refused(content, message, where, listed):
    path = listed / where / "SHA256SUMS"
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(BadData, match=message):
        verify(listed, listed / "models/tiny")


@pytest.mark.parametrize("sums", [True, False])
@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda p: p.symlink_to("nowhere"), lambda p: p.symlink_to(p.name)]
)
def test_what_is_no_file_is_refused(make, sums, bundle):
    if sums:
        write_checksums(bundle / "models/tiny")
    make(bundle / "models/tiny/x.json")
    with pytest.raises(BadData, match=r"x.json: (a pipe|it cannot be read)"):
        verify(bundle, bundle / "models/tiny")


def test_a_bundle_without_checksums_says_so(bundle):
    assert verify(bundle, bundle / "glue/sst2/train.jsonl") == "no checksums"


@pytest.mark.parametrize("name", ["two\nlines", "back\\slash", "\\n", "one\u2028line", "a\rb", "ä  b"])
def test_every_file_name_is_listed_as_sha256sum_does(name, bundle):
    (bundle / "models/tiny" / name).write_text("x")
    write_checksums(bundle / "models/tiny")
    add_checksums(bundle)
    assert f"models/tiny/{name}" in read_checksums(bundle)
    assert verify(bundle, bundle / "models/tiny") == "verified"
    assert sha256sum(bundle).returncode == 0


def test_a_folder_that_takes_anothers_place_takes_its_lines_too(listed):
    (listed / "models/tiny/config.json").rename(listed / "models/tiny/other.json")
    write_checksums(listed / "models/tiny")
    assert verify(listed, listed / "models/tiny") == "verified", "killed before the bundle's list was written"
    add_checksums(listed)
    assert sorted(read_checksums(listed)) == ["glue/sst2/train.jsonl", "models/tiny/other.json"]
    assert sha256sum(listed).returncode == 0
