"""The Hugging Face Hub: the one door to it. What it gives is checked; what it does wrong is one sentence.

Names of files are looked at before anything is written. Files lie in the Hub's own cache, each under the hash
that the Hub announced for it, and what has another hash is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from modernbert.connection import connection, show_downloads_on_terminals_only
from modernbert.errors import MbertError, NotAvailable
from modernbert.files import sha256
from modernbert.locks import lock_alone
from modernbert.patience import http, patiently
from modernbert.places import no_space_is_an_error
from modernbert.wording import one_line

# What a model's folder is fetched for, besides its weights.
PLAIN_FILES = ["*.json", "*.txt", "*.model", "*.jinja"]
AGAIN = "Try again later. What was fetched before stays."
REFUSED = "Check the name and the revision. What is private or gated needs a token (HF_TOKEN)."
# What the Hub's libraries raise on an answer that they did not expect; our own code is not in there.
FAULTS = (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError)


def cache_folder() -> str:
    """Return the Hugging Face cache folder."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return str(HF_HUB_CACHE)


def hub_file(repo: str, file: str, revision: str | None, *, repo_type: str) -> Path | None:
    """Return a Hub file's path from the cache, else from the Hub; None when neither has it.

    Raises:
        NotAvailable: the Hub answers, and does not give the file at that revision.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    with _one_sentence(f"{repo}/{file}", revision), contextlib.suppress(LocalEntryNotFoundError):
        return Path(
            hf_hub_download(repo, file, revision=revision, repo_type=repo_type, local_files_only=True)
        )
    return _fetch(repo, file, revision, repo_type) if connection().online else None


def hub_model(repo: str, revision: str | None) -> Path | None:
    """Return a Hub model's folder from the cache, else from the Hub; None when neither has it.

    Safetensors are preferred; a `.bin` is fetched only where the repository has nothing else (it is read
    without unpickling code).

    Raises:
        NotAvailable: the Hub answers, and does not give the repository at that revision.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    with _one_sentence(repo, revision), contextlib.suppress(LocalEntryNotFoundError):
        cached = Path(snapshot_download(repo, revision=revision, local_files_only=True))
        if _has_weights(cached):
            return cached
    if not connection().online:
        return None
    commit, wanted = _listed(repo, revision)
    paths = [_fetch(repo, file, revision, "model") for file in wanted]
    folder = Path(cache_folder()) / _folder_name(repo, "model") / "snapshots" / commit
    if not all(path.is_relative_to(folder) for path in paths):
        raise NotAvailable(f"{repo} was changed on the Hub while it was fetched", fix="Try again.")
    return folder


def _has_weights(folder: Path) -> bool:
    weights = [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]
    return bool(weights) and (folder / "config.json").is_file()


def _listed(repo: str, revision: str | None) -> tuple[str, list[str]]:
    """Return a model's commit and the files to fetch.

    `config.json` comes last: a folder that has it and weights is whole, whenever a download was killed.
    """
    from huggingface_hub import HfApi

    with _one_sentence(repo, revision):
        info = patiently(lambda: HfApi().model_info(repo, revision=revision or "main"))
        commit, names = str(info.sha), [str(file.rfilename) for file in info.siblings or []]
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise NotAvailable(f"the Hub names a commit of {repo} that is none: {commit!r:.100}", fix=AGAIN)
    weights = "*.safetensors" if any(name.endswith(".safetensors") for name in names) else "pytorch_model.bin"
    wanted = [name for name in names if any(fnmatch(name, p) for p in (*PLAIN_FILES, weights))]
    for name in wanted:
        _require_harmless(name, repo)
    if not wanted:
        raise NotAvailable(f"{repo} on the Hub has no config.json: it is no transformers model")
    return commit, sorted(wanted, key=lambda name: (name == "config.json", fnmatch(name, weights), name))


def _require_harmless(name: str, repo: str) -> None:
    """Refuse a name that would lie elsewhere than it says, or that no file can have."""
    harmless = name.isprintable() and "\\" not in name and unquote(name) == name
    if not harmless or any(p in ("", ".", "..") or len(os.fsencode(p)) > 255 for p in name.split("/")):
        raise NotAvailable(f"{repo} on the Hub has a file whose name cannot be used here: {name!r:.100}")


def hub_data(repo: str, config: str | None, revision: str | None) -> dict[str, Any]:
    """Return the splits of a data set, from the cache or the Hub; its author's code is never run.

    Raises:
        NotAvailable: neither has it, or not as plain files.
    """
    import datasets

    online = connection().online
    show_downloads_on_terminals_only()
    blobs = Path(cache_folder()) / _folder_name(repo, "dataset") / "blobs"
    before = set(blobs.glob("*"))
    offline, datasets.config.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE, not online
    wanted = [repo] if config is None else [repo, config]
    how = datasets.DownloadConfig(local_files_only=not online, max_retries=0)
    more = {} if revision is None else {"revision": revision}

    def load() -> Any:
        return datasets.load_dataset(*wanted, download_config=how, **more)

    try:
        with _one_sentence(repo, revision, datasets.exceptions.DatasetsError):
            loaded = patiently(load) if online else load()
    finally:
        datasets.config.HF_HUB_OFFLINE = offline
    try:
        for blob in set(blobs.glob("*")) - before:
            _require_announced(blob, repo)
    except NotAvailable:
        for split in loaded.values():
            for made in split.cache_files:
                shutil.rmtree(Path(made["filename"]).parent, ignore_errors=True)
        raise
    return dict(loaded)


def _fetch(repo: str, file: str, revision: str | None, repo_type: str) -> Path:
    """Fetch a file into the Hub's cache, and check it.

    Raises:
        NotAvailable: the Hub does not give it, or gives other bytes than it announced.
    """
    from huggingface_hub import hf_hub_download

    show_downloads_on_terminals_only()
    _sweep(Path(cache_folder()), _folder_name(repo, repo_type))
    with _one_sentence(f"{repo}/{file}", revision):
        found = patiently(lambda: hf_hub_download(repo, file, revision=revision, repo_type=repo_type))
    path = Path(found)
    try:
        _require_announced(path.resolve(), f"{repo}/{file}")
    except NotAvailable:
        path.unlink(missing_ok=True)
        raise
    return path


def _folder_name(repo: str, repo_type: str) -> str:
    return f"{repo_type}s--{repo.replace('/', '--')}"


@contextlib.contextmanager
def _one_sentence(what: str, revision: str | None, *faults: type[Exception]) -> Iterator[None]:
    """Turn what the Hub's libraries raise into `NotAvailable`, or into what the disk is to blame for."""
    kinds = (*FAULTS, *faults, http().HTTPError, http().InvalidURL)
    try:
        with no_space_is_an_error(Path(cache_folder()) / "in it"):
            yield
    except NotAvailable as error:
        error.where = error.where or what
        raise
    except MbertError:
        raise
    except kinds as error:
        status = getattr(getattr(error, "response", None), "status_code", 0)
        raise NotAvailable(
            f"the Hub does not give {what} at {revision or 'main'}: {reason_of(error)}",
            fix=REFUSED if status in (400, 401, 403, 404) else AGAIN,
        ) from error


def reason_of(error: BaseException) -> str:
    """Return an error's text on one line, or that of its cause; a server's words may hold anything."""
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    while isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    text = one_line(str(error)) or type(error).__name__
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)[:200]
    plain = isinstance(error, (OSError, http().HTTPError, HFValidationError))
    return shown if plain else f"what it answers makes no sense ({shown})"


def _require_announced(blob: Path, what: str) -> None:
    """Check a file of the Hub's cache against its name: SHA-256 of a large file, git's SHA-1 of another."""
    if re.fullmatch(r"[0-9a-f]{64}", blob.name):
        found = sha256(blob)
    elif re.fullmatch(r"[0-9a-f]{40}", blob.name):
        found = hashlib.sha1(b"blob %d\0" % blob.stat().st_size + blob.read_bytes()).hexdigest()
    else:
        return
    if found != blob.name:
        blob.unlink()
        raise NotAvailable(
            f"what the Hub gave as {what} is not what it announced (its hash differs)", fix=AGAIN
        )


def _sweep(cache: Path, repo: str) -> None:
    """Remove what killed downloads left in the Hub's cache; none goes on with what another began."""
    for file in (cache / repo / "blobs").glob("*.*.incomplete"):
        lock = cache / ".locks" / repo / f"{file.name.split('.')[0]}.lock"
        with contextlib.suppress(OSError), lock.open("a") as handle:
            lock_alone(handle.fileno())
            file.unlink(missing_ok=True)
