"""From files and a model's name to a corpus of tokens and checked settings."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from modernbert.data.sources import bundle_folder
from modernbert.errors import BadData, BadOption
from modernbert.evaluation.embed import require_vectors
from modernbert.files import model_checksums, sha256
from modernbert.kept import kept_folder
from modernbert.model.device import MAX_TOKENS, choose_machine
from modernbert.model.embedding import embedding_settings
from modernbert.model.loading import context_length, load_config, load_tokenizer
from modernbert.model.locate import ModelSource, locate_model
from modernbert.places import own_cache
from modernbert.pretraining.architectures import untrained
from modernbert.pretraining.corpus import Corpus
from modernbert.pretraining.recipes import pretraining_recipe
from modernbert.pretraining.store import SHORTEST, SHORTEST_TAUGHT, SPLITS, build, read_found
from modernbert.pretraining.tokenizer import train_tokenizer
from modernbert.records.data import Data
from modernbert.runs import RunStore
from modernbert.settings.config import PretrainingConfig
from modernbert.training.inputs import Inputs, Request
from modernbert.wording import counted

# Characters that a new vocabulary is learnt from: counting more changes few entries.
VOCABULARY_CHARACTERS = 2**28
SMALLEST_VOCABULARY = 512


@dataclass(frozen=True, kw_only=True)
class PretrainingRequest(Request):
    """A request to train on the text of files.

    Attributes:
        files: files and folders.
        scratch: an architecture to start from random weights; `model` then only lends its tokenizer.
        vocabulary: size of a new vocabulary for it; 0 takes `model`'s.
        teacher: a sentence encoder whose vectors are learnt; None for masked words alone.
    """

    files: tuple[str, ...]
    scratch: str | None = None
    vocabulary: int = 0
    teacher: str | None = None


@dataclass(frozen=True)
class PretrainingTask:
    """What a run keeps about its task."""

    summary: str
    name: str = "pretraining"
    kind: Literal["pretraining"] = "pretraining"
    labels: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ("masked_accuracy", "loss")


@dataclass(frozen=True, kw_only=True)
class PretrainingInputs(Inputs):
    """A corpus on disk as tokens, and a model to train on it."""

    run_kind: ClassVar[str] = "pretrain"
    task: PretrainingTask
    config: PretrainingConfig
    folder: Path
    found: dict[str, Any]
    teacher: ModelSource | None = None

    def facts(self) -> dict[str, str]:
        """Return the corpus's size, and what was left out of it."""
        found, sizes = self.found, {name: self.found[name] for name in SPLITS}
        return {
            "corpus": f"{counted(found['texts'], 'text')}, {counted(found['characters'], 'character')}; "
            f"repeated and left out: {counted(found['repeated_texts'], 'text')}, "
            f"{counted(found['repeated_pieces'], 'piece')}",
            "tokens": "; ".join(
                f"{name.replace('_', ' ')} {part['tokens']:,} in {counted(part['pieces'], 'piece')}"
                for name, part in sizes.items()
            ),
            "kept in": str(self.folder),
        } | ({"teacher": self.teacher.name} if self.teacher else {})

    @property
    def warnings(self) -> tuple[str, ...]:
        """Files that could not be read."""
        left_out = self.found["left_out"]
        shown = "; ".join(f"{file} ({why})" for file, why in list(left_out.items())[:3])
        more = ", ..." if len(left_out) > 3 else ""
        return (f"{counted(len(left_out), 'file')} left out: {shown}{more}",) if left_out else ()

    def data_record(self) -> Data:
        """Return both splits with fingerprints of their tokens, and what was left out."""
        splits = {name: {"rows": self.found[name]["pieces"], **self.found[name]} for name in SPLITS}
        kept = Data.model_validate(
            {"splits": splits} | {key: value for key, value in self.found.items() if key not in SPLITS}
        )
        if self.teacher is None:
            return kept
        files = model_checksums(self.teacher.folder)
        teacher = {"name": self.teacher.name, "revision": self.teacher.revision, "weights": files}
        return kept.with_values(teacher=teacher)

    @property
    def job(self) -> str:
        """A masked language model, with or without a teacher."""
        return "masked language model" if self.teacher is None else "distillation"


def prepare_pretraining(request: PretrainingRequest, store: RunStore) -> PretrainingInputs:
    """Find the model, tokenise the corpus (once: it is kept) and resolve the settings.

    Raises:
        BadData: a file does not exist, or nothing in it can be read.
        BadOption: a setting makes no sense, or the texts would exceed the model's context.
        MbertError: as `locate_model`.
    """
    corpus = Corpus.of([Path(file) for file in request.files])
    recipe = pretraining_recipe(request.recipe, scratch=request.scratch is not None)
    config = PretrainingConfig().with_values(recipe.settings, source=f"recipe {recipe.name}")
    config = config.with_values(request.settings)
    if request.init_from:
        raise BadOption("pretraining goes on from --model; there is no --init-from")
    if not config.masking.mask and not request.teacher:
        raise BadOption(
            "without masked tokens there is nothing to learn", fix="Leave --mask 0 out, or add --teacher."
        )
    teacher = _teacher(request, store)
    notes: list[str] = []
    content = _content(corpus)
    source, tokenizer = _start(request, corpus, content, store, notes)
    context = context_length(load_config(source))
    if config.data.max_length > context:
        raise BadOption(
            f"--max-length {config.data.max_length} exceeds the model's context of {context} tokens",
            fix="Lower --max-length.",
        )
    for name in ("mask_token_id", "cls_token_id", "sep_token_id"):
        if getattr(tokenizer, name) is None:
            raise BadOption(f"the tokenizer of {source.name} has no {name.removesuffix('_id')}")
    machine = choose_machine(request.device, request.precision)
    config = config.with_values({"max_tokens": config.memory.max_tokens or MAX_TOKENS[machine.device]})
    length, held_out = config.data.max_length, config.evaluation.held_out
    shortest = SHORTEST_TAUGHT if teacher else SHORTEST
    folder = own_cache() / "corpora" / _key(content, length, held_out, shortest, _digest(tokenizer))

    def tokenise(empty: Path) -> None:
        build(corpus, tokenizer, empty, length=length, held_out=held_out, shortest=shortest)
        _require_unchanged(corpus, content)

    kept_folder(folder, tokenise, notes.append)
    return PretrainingInputs(
        request=request,
        task=_task(len(corpus.files), teacher, config),
        source=source,
        start=source,
        tokenizer=tokenizer,
        recipe=recipe,
        config=config,
        machine=machine,
        notes=tuple(notes),
        folder=folder,
        found=read_found(folder),
        teacher=teacher,
    )


def _teacher(request: PretrainingRequest, store: RunStore) -> ModelSource | None:
    if request.teacher is None:
        return None
    teacher = _locate(request, store, request.teacher)
    require_vectors(teacher)
    if not embedding_settings(teacher).tuned:
        raise BadOption(
            f"the teacher {teacher.name} was not made for sentence vectors",
            fix="Use a sentence encoder, such as a run of mbert finetune on pairs of texts.",
        )
    return teacher


def _task(files: int, teacher: ModelSource | None, config: PretrainingConfig) -> PretrainingTask:
    words = PretrainingTask(f"masked-language modelling of {counted(files, 'file')}")
    if teacher is None:
        return words
    metrics = ("teacher_cosine", *(words.metrics if config.masking.mask else ()))
    return PretrainingTask(f"distillation of {teacher.name} on {counted(files, 'file')}", metrics=metrics)


def _start(
    request: PretrainingRequest, corpus: Corpus, content: Content, store: RunStore, notes: list[str]
) -> tuple[ModelSource, Any]:
    """Return the model to start from, and its tokenizer."""
    if request.scratch is not None:
        if request.vocabulary:
            tokenizer = _new_tokenizer(request.vocabulary, corpus, content, notes)
        else:
            tokenizer = load_tokenizer(_locate(request, store))
        return untrained(request.scratch, tokenizer, own_cache() / "untrained", notes.append), tokenizer
    if request.vocabulary:
        raise BadOption(
            "a trained model cannot take a new vocabulary: its embeddings belong to the old one",
            fix="Add --from-scratch, or leave --vocabulary out.",
        )
    source = _locate(request, store)
    return source, load_tokenizer(source)


def _locate(request: Request, store: RunStore, model: str | None = None) -> ModelSource:
    data_dir = bundle_folder(Path(request.data_dir) if request.data_dir else None)
    return locate_model(model or request.model, store=store, data_dir=data_dir)


def _new_tokenizer(size: int, corpus: Corpus, content: Content, notes: list[str]) -> Any:
    """Learn a vocabulary from the corpus, once: it is kept."""
    if size < SMALLEST_VOCABULARY:
        raise BadOption(f"a vocabulary of {size} is too small", fix=f"Use {SMALLEST_VOCABULARY} or more.")
    folder = own_cache() / "vocabularies" / _key(content, size)

    def learn(empty: Path) -> None:
        train_tokenizer(corpus.sample(VOCABULARY_CHARACTERS), size, 8192).save_pretrained(empty)
        _require_unchanged(corpus, content)

    kept_folder(folder, learn, notes.append)
    return load_tokenizer(ModelSource("vocabulary", folder, str(folder), "", ""))


def _digest(tokenizer: Any) -> str:
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()[:16]


# The names of files and the SHA-256 of each: a second's work for each gigabyte or two.
Content = list[tuple[str, str]]


def _content(corpus: Corpus) -> Content:
    return [(str(file), _digest_of(file)) for file in corpus.files]


def _digest_of(file: Path) -> str:
    try:
        return sha256(file)
    except OSError as error:  # it will be left out, and named
        return str(error.strerror)


def _require_unchanged(corpus: Corpus, content: Content) -> None:
    """Keep nothing under the name of one text that was made of another."""
    for (name, before), (_, now) in zip(content, _content(corpus), strict=True):
        if before != now:
            raise BadData("the file was changed while it was read", where=name, fix="Run the command again.")


def _key(content: Content, *more: Any) -> str:
    """Return a name for what is made of these files."""
    return hashlib.sha256(json.dumps([content, *more]).encode()).hexdigest()[:16]
