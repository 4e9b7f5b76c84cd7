"""Push a model to the Hugging Face Hub: which files, what they may not say, and where they go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modernbert.activity import phase
from modernbert.errors import BadModel, BadOption
from modernbert.model.catalogue import CHECKPOINTS, hub_id_of
from modernbert.model.locate import ModelSource, locate_model, require_known
from modernbert.runs import RunStore
from modernbert.upload import MAIN, upload
from modernbert.without_paths import paths_in

CARD = "README.md"
# What mbert's cards call the model.
NAMED = re.compile(r"^model-index:\n- name: (.+)$", re.MULTILINE)
# What a model's folder is pushed for; anything else stays here.
PUSHED = (".json", ".txt", ".md", ".jinja", ".model", ".safetensors", ".onnx", ".data")
# OpenVINO's graph and its weights; a *.bin elsewhere may hold code.
OPENVINO = ("openvino/*.xml", "openvino/*.bin")
# Which of these are written by programs and may hold a path.
SAYING = (".json", ".md", ".xml")
# Words of a tokenizer may look like paths.
VOCABULARIES = ("tokenizer.json", "vocab.json")
# The Hub takes `owner/name` of these.
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
BRANCH = re.compile(r"[A-Za-z0-9][\w./-]{0,199}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class PushRequest:
    """What the user asked for.

    Attributes:
        model: a run, or a folder with a model and its card.
        repo: `owner/name` on the Hub.
        revision: the branch.
        private: make the repository private.
        overwrite: replace the files that the branch has.
        dry_run: tell what would be done; the Hub is asked nothing.
    """

    model: str
    repo: str
    revision: str = MAIN
    private: bool = False
    overwrite: bool = False
    dry_run: bool = False
    data_dir: Path | None = None


@dataclass(frozen=True)
class PushedFile:
    """A file as it is called on the Hub."""

    name: str
    bytes: int


@dataclass(frozen=True)
class Pushed:
    """What was pushed, or would be.

    Attributes:
        files: what goes up.
        left_out: files of the folder that do not.
        removed: files of the Hub that are no longer there.
        created: was the repository made for it?
        url, commit: of the Hub's commit; empty for a dry run.
    """

    model: str
    repo: str
    revision: str
    files: tuple[PushedFile, ...]
    left_out: tuple[str, ...]
    removed: tuple[str, ...] = ()
    created: bool = False
    url: str = ""
    commit: str = ""

    @property
    def bytes(self) -> int:
        """How much goes up."""
        return sum(file.bytes for file in self.files)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {**asdict(self), "bytes": self.bytes}


def push(request: PushRequest, store: RunStore) -> Pushed:
    """Push a model in one commit.

    Raises:
        BadOption: no repository can be called so, or it has files already.
        BadRun: the run is not finished, or has no model.
        BadModel: there are no weights or no card, or a file names a path of this machine.
        NotAvailable: the Hub is out of reach, or does not take it.
    """
    _require_names(request)
    source = _own_model(request, store)
    files, left_out = _files(source, request.repo)
    _require_no_paths(files, source)
    listed = tuple(PushedFile(name, _size(content)) for name, content in files.items())
    if request.dry_run:
        return Pushed(source.name, request.repo, request.revision, listed, left_out)
    with phase(f"pushing to {request.repo}"):
        done = upload(
            request.repo, files, message=f"{Path(source.name).name}, by mbert", revision=request.revision,
            private=request.private, overwrite=request.overwrite,
        )  # fmt: skip
    return Pushed(
        source.name, request.repo, request.revision, listed, left_out, done.removed, done.created, done.url,
        done.commit,
    )  # fmt: skip


def _require_names(request: PushRequest) -> None:
    if not REPOSITORY.fullmatch(request.repo) or re.search(r"--|\.\.|[.-](/|$)|\.git$", request.repo):
        raise BadOption(f"'{request.repo}' is no repository of the Hub", fix="Name it as owner/name.")
    if not BRANCH.fullmatch(request.revision) or ".." in request.revision:
        raise BadOption(
            f"'{request.revision}' cannot name a branch", fix="Use letters, digits, '.', '_', '-'."
        )


def _own_model(request: PushRequest, store: RunStore) -> ModelSource:
    """Return a run or a folder: a model that others made is not pushed under the user's name."""
    name = request.model
    require_known(name, store)
    mine = store.has(store.current_name(name)) or Path(name).is_dir()
    if name in CHECKPOINTS or not mine:
        raise BadOption(f"{name} is no run of yours", fix="Name a run (mbert runs), or a folder of a model.")
    source = locate_model(name, store=store, data_dir=request.data_dir)
    base = source.base
    if base and not hub_id_of(base.name, base.found_in):
        raise BadModel(
            f"{source.name} has adapters alone, and their model ({base.public_name}) is not on the Hub",
            fix=f"Merge them: mbert export {name} --to hf -o FOLDER; then push FOLDER.",
        )  # fmt: skip
    return source


def _files(source: ModelSource, repo: str) -> tuple[dict[str, Path | bytes], tuple[str, ...]]:
    """Return the files that go up by their names, and the names of those that do not."""
    found = {path.relative_to(source.folder).as_posix(): path for path in _all_files(source.folder)}
    kept: dict[str, Path | bytes] = {n: path for n, path in found.items() if _is_pushed(Path(n))}
    where = str(source.folder)
    if not any(name.endswith((".safetensors", ".onnx", ".xml")) for name in kept):
        raise BadModel("there are no weights here (*.safetensors)", where=where)
    if CARD not in kept:
        fix = "Write what the model is for, what it learnt from, and how well it does."
        raise BadModel(f"there is no model card ({CARD})", where=where, fix=fix)
    kept[CARD] = _card_of(repo, found[CARD].read_text(encoding="utf-8")).encode()
    return kept, tuple(sorted(found.keys() - kept.keys()))


def _is_pushed(name: Path) -> bool:
    return name.suffix in PUSHED or any(name.match(pattern) for pattern in OPENVINO)


def _card_of(repo: str, card: str) -> str:
    """Return a card whose code loads the model by the name that it has on the Hub."""
    if named := NAMED.search(card):
        name = re.escape(named[1].strip("'"))
        card = re.sub(rf'(?<=[( ])"{name}"(?=[),])', f'"{repo}"', card)
        card = re.sub(rf"(?<=--model ){name}$", repo, card, flags=re.MULTILINE)
    return card


def _all_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.is_file():
            yield path


def _require_no_paths(files: dict[str, Path | bytes], source: ModelSource) -> None:
    """Raise BadModel where a file names a path of this machine: it would be there for all to read."""
    for name, content in files.items():
        if name.rpartition("/")[2] in VOCABULARIES or not name.endswith(SAYING):
            continue
        raw = content if isinstance(content, bytes) else content.read_bytes()
        for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), start=1):
            for path in paths_in(line.replace('"', " ")):
                if _is_of_this_machine(path):
                    raise BadModel(f"it names a path of this machine ({path})",
                                   where=f"{source.folder / name}, line {number}",
                                   fix="Remove it from the file.")  # fmt: skip


def _is_of_this_machine(path: str) -> bool:
    place = Path(path.rstrip(".")).expanduser()
    return place.exists() or (place.is_relative_to(Path.home()) and Path.home() != Path("/"))


def _size(content: Path | bytes) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size
