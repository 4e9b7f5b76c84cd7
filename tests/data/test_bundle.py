"""Bundles: checksums as `sha256sum` writes them, any change refused."""

from __future__ import annotations

import hashlib

import pytest

from modernbert.data.bundle import add_checksums, read_checksums, verify
from modernbert.errors import BadData


@pytest.fixture
def bundle(tmp_path):
    for name in ("glue/sst2/train.jsonl", "models/tiny/config.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_checksums_have_sha256sums_own_format(bundle):
    add_checksums(bundle, [bundle / "glue/sst2/train.jsonl"])
    add_checksums(bundle, [bundle / "models/tiny/config.json"])
    digest = hashlib.sha256(b"glue/sst2/train.jsonl").hexdigest()
    assert (bundle / "SHA256SUMS").read_text().startswith(f"{digest}  glue/sst2/train.jsonl\n")
    assert verify(bundle, bundle / "glue/sst2/train.jsonl") == "verified"
    assert verify(bundle, bundle / "models/tiny") == "verified"


def test_a_change_an_extra_file_and_a_damaged_list_are_refused(bundle):
    train = bundle / "glue/sst2/train.jsonl"
    add_checksums(bundle, [train])
    with pytest.raises(BadData, match="its checksum is not in the bundle"):
        verify(bundle, bundle / "models")
    train.write_text("changed")
    with pytest.raises(BadData, match="its checksum differs"):
        verify(bundle, train)
    (bundle / "SHA256SUMS").write_text("nonsense\n")
    with pytest.raises(BadData, match="line 1: not a checksum line"):
        read_checksums(bundle)


def test_a_bundle_without_checksums_says_so(bundle):
    assert verify(bundle, bundle / "glue/sst2/train.jsonl") == "no checksums"
