"""Files to the Hugging Face Hub: one commit, which has all of them or is not made."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modernbert.connection import connection, show_downloads_on_terminals_only
from modernbert.errors import BadOption, MbertError, NotAvailable
from modernbert.hub import FAULTS, reason_of
from modernbert.patience import http, patiently

MAIN = "main"
# What the Hub itself puts into a new repository.
THE_HUBS_OWN = ".gitattributes"
LOG_IN = (
    "Log in with `hf auth login`, or set HF_TOKEN: a token that may write (huggingface.co/settings/tokens)."
)
LOOK = "Look at the repository before you try again: a commit is there as a whole or not at all."


@dataclass(frozen=True)
class Uploaded:
    """What the Hub has now.

    Attributes:
        url: of the commit.
        commit: 40 hexadecimal digits.
        removed: files that were there before and are not part of it.
        created: was the repository made for it?
    """

    url: str
    commit: str
    removed: tuple[str, ...]
    created: bool


@dataclass(frozen=True)
class _Place:
    """A branch of a repository as it is before."""

    head: str | None
    files: tuple[str, ...]
    created: bool


def require_hub() -> None:
    """Raise NotAvailable when the Hub is out of reach, or nobody is logged in."""
    from huggingface_hub import get_token

    if not connection().online:
        fix = "Try again with a network; --dry-run shows what would go there."
        raise NotAvailable(f"nothing was uploaded: {connection().reason}", fix=fix)
    with _one_sentence("the token"):
        if not get_token():
            raise NotAvailable("nothing was uploaded: no token for the Hub is here", fix=LOG_IN)


def upload(
    repo: str, files: Mapping[str, Path | bytes], *, message: str, revision: str = MAIN,
    private: bool = False, overwrite: bool = False,
) -> Uploaded:  # fmt: skip
    """Upload files to a model repository in one commit; the repository and the branch are made if need be.

    Args:
        repo: `owner/name`.
        files: what each is called there, and where it is here or what it holds.
        message: of the commit.
        revision: the branch.
        private: make it a private repository.
        overwrite: files that are there are replaced, and others removed; its history keeps them.

    Raises:
        BadOption: the branch has files, or the repository is public and should be private.
        NotAvailable: the Hub is out of reach or does not take them; nothing was changed then.
    """
    require_hub()
    show_downloads_on_terminals_only()
    with _one_sentence(repo):
        place = patiently(lambda: _prepared(repo, revision, private=private, overwrite=overwrite))
        removed = tuple(sorted({*place.files} - files.keys() - {THE_HUBS_OWN}))
        done = patiently(lambda: _commit(repo, revision, files, removed, place.head, message))
        _require_whole(repo, done.oid, files)
    return Uploaded(str(done.commit_url), str(done.oid), removed, place.created)


def _prepared(repo: str, revision: str, *, private: bool, overwrite: bool) -> _Place:
    """Make the repository or the branch where there is none; refuse to replace what nobody gave up."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    api = HfApi()
    try:
        main = api.model_info(repo)
    except RepositoryNotFoundError:
        api.create_repo(repo, private=private or None)
        if revision != MAIN:
            api.create_branch(repo, branch=revision)
        return _Place(None, (), created=True)
    if private and not main.private:
        raise BadOption(f"{repo} is public, and --private was asked for",
                        fix="Make it private on its page of settings, or name another.")  # fmt: skip
    try:
        there = api.model_info(repo, revision=revision)
    except RevisionNotFoundError:
        api.create_branch(repo, branch=revision)
        return _Place(main.sha, _files_of(main), created=False)  # a copy of main: nothing is lost
    if (names := _files_of(there)) and not overwrite:
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        fix = "Add --overwrite to replace them (its history keeps them), or name another."
        raise BadOption(f"{repo} has files at {revision} already ({shown})", fix=fix)
    return _Place(there.sha, names, created=False)


def _files_of(info: Any) -> tuple[str, ...]:
    names = (str(file.rfilename) for file in info.siblings or [])
    return tuple(sorted(name for name in names if name != THE_HUBS_OWN))


def _commit(
    repo: str, revision: str, files: Mapping[str, Path | bytes], removed: tuple[str, ...], parent: str | None,
    message: str,
) -> Any:  # fmt: skip
    """Commit. What somebody else changed meanwhile is noticed by the parent.

    `upload_folder` would be shorter, and makes several commits of a large folder.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    added = [CommitOperationAdd(name, content) for name, content in files.items()]
    gone = [CommitOperationDelete(name) for name in removed]
    return HfApi().create_commit(
        repo, [*gone, *added], commit_message=message, revision=revision, parent_commit=parent
    )


def _require_whole(repo: str, commit: str, files: Mapping[str, Path | bytes]) -> None:
    """Refuse a commit that lacks a file: the library leaves out what a `.gitignore` on the Hub names."""
    from huggingface_hub import HfApi

    info = patiently(lambda: HfApi().model_info(repo, revision=commit))
    if missing := sorted(files.keys() - {*_files_of(info)}):
        raise NotAvailable(f"the Hub left out {', '.join(missing)}",
                           fix="A .gitignore in the repository may name them.")  # fmt: skip


@contextlib.contextmanager
def _one_sentence(what: str) -> Iterator[None]:
    """Turn what the Hub's library raises into `NotAvailable`."""
    try:
        yield
    except MbertError as error:
        error.where = error.where or what
        raise
    except (*FAULTS, http().HTTPError, http().InvalidURL) as error:
        found = _behind(error)
        status = getattr(getattr(found, "response", None), "status_code", 0)
        fix = LOG_IN if status in (401, 403, 404) else LOOK
        raise NotAvailable(f"the Hub does not take it: {reason_of(found)}", where=what, fix=fix) from error


def _behind(error: BaseException) -> BaseException:
    """Return what is behind an error of a large file, which says only that there was one."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error
