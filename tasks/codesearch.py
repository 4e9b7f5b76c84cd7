"""Code search: Stack Overflow questions, CoSQA, CodeSearchNet, and the running interpreter's own library.

Revisions are those that mteb 2.26 pins; sizes are from its task descriptions.
"""

from __future__ import annotations

import functools
import platform
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from modernbert.data.collection import Collection
from modernbert.data.docstrings import docstring_collections, module_of, snippets_of
from modernbert.data.retrieval_task import HubCollection, MadeCollection, RetrievalTask

# What is no library: tests, other people's packages, a vendored installer, an editor, a demonstration.
SKIPPED = {"site-packages", "dist-packages", "test", "tests", "idlelib", "ensurepip", "turtledemo", "lib2to3"}
LANGUAGES = ("python", "javascript", "go", "ruby", "java", "php")


@functools.cache
def stdlib() -> Mapping[str, Collection]:
    """Read the running interpreter's standard library."""
    root = Path(sysconfig.get_paths()["stdlib"])
    snippets = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if not SKIPPED & set(parts) and not parts[0].startswith(("_sysconfigdata", "config-")):
            snippets += snippets_of(path, parts[0].removesuffix(".py"))
    return docstring_collections("codesearch/stdlib", snippets)


def interpreter() -> str:
    """Return what the collection is made from."""
    return f"{platform.python_implementation()} {platform.python_version()} standard library"


def _code(name: str, summary: str, repo: str, revision: str, config: str = "", **more: str) -> RetrievalTask:
    return RetrievalTask(
        name=f"codesearch/{name}",
        summary=summary,
        source=HubCollection(repo, revision, config),
        analyser="code",
        licence="MIT",
        **more,  # type: ignore[arg-type]
    )


_CSN = ("mteb/CodeSearchNetRetrieval", "68e8f0731a656fa4bd5b7c81936d95ad48a39bfe")
_COIR_CSN = ("CoIR-Retrieval/CodeSearchNet", "4adc7bc41202b5c13543c9c886a25f340634dab3")
_HUSAIN = "Husain et al. 2019, arXiv:1909.09436"

TASKS = {
    "stackoverflow-qa": _code(
        "stackoverflow-qa",
        "Stack Overflow: question to answer, text and code mixed; 1,994 queries, 19,931 documents",
        "mteb/StackOverflowQA",
        "7b46f5ebd2365278c1bb025986dda2fee893bbf5",
        train="train",
        citation="Li et al. 2024 (CoIR), arXiv:2407.02883",
    ),
    "cosqa": _code(
        "cosqa",
        "CoSQA: web query to Python function; 500 queries, 20,604 documents",
        "CoIR-Retrieval/cosqa",
        "bc5efb7e9d437246ce393ed19d772e08e4a79535",
        train="train",
        citation="Huang et al. 2021, arXiv:2105.13239",
    ),
    **{
        f"codesearchnet-{language}": _code(
            f"codesearchnet-{language}",
            f"CodeSearchNet: docstring to {language} function; 1,000 queries, 1,000 documents",
            *_CSN,
            language,
            citation=_HUSAIN,
        )
        for language in LANGUAGES
    },
    **{
        f"coir-codesearchnet-{language}": _code(
            f"coir-codesearchnet-{language}",
            f"CoIR's CodeSearchNet, the other way round: {language} function to docstring",
            *_COIR_CSN,
            language,
            train="train",
            citation=_HUSAIN,
        )
        for language in LANGUAGES
    },
    "stdlib": RetrievalTask(
        name="codesearch/stdlib",
        summary="Python's standard library: docstring to code (made from the running interpreter, no Hub)",
        source=MadeCollection(stdlib, interpreter),
        train="train",
        validation="validation",
        analyser="code",
        cluster=module_of,
        licence="PSF-2.0",
        citation="the interpreter's own source",
    ),
}
# What `mbert eval codesearch` means, and `codesearch/all`.
DEFAULT = ("stackoverflow-qa",)
GROUPS = {"all": tuple(TASKS)}
