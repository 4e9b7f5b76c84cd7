"""The texts to train on, read one at a time: source and text files, and tables with a column of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from modernbert.data.folders import files_in
from modernbert.data.readers import TABLES, iter_rows
from modernbert.errors import BadData
from modernbert.places import no_such_file

# Endings of files that are one document each; a table (`TABLES`) has one in every row.
PROSE = ".txt .md .rst .adoc .tex .html .xml"
DATA = ".toml .yaml .yml .sql .css"
CODE = (
    ".py .pyi .js .jsx .mjs .cjs .ts .tsx .java .go .rs .c .h .cc .cpp .cxx .hpp .hh .rb .php .cs .sh .bash "
    ".pl .lua .r .jl .scala .kt .swift"
)
TEXTS = frozenset(f"{PROSE} {DATA} {CODE}".split())
COLUMNS = ("text", "content")
# A longer text is cut here, at the end of a line, so that one file cannot fill the memory.
LONGEST = 2**20


@dataclass
class Corpus:
    """Files to read. `left_out` fills while they are read: file -> why it was not."""

    files: tuple[Path, ...]
    left_out: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: Sequence[Path]) -> Corpus:
        """Find the files of paths and folders.

        Raises:
            BadData: a path does not exist, or nothing in it can be read.
        """
        files: list[Path] = []
        for path in paths:
            if not path.exists():
                raise no_such_file(path, "file or folder")
            if not path.is_dir() and not path.is_file():
                raise BadData(
                    "it is neither a file nor a folder (a pipe can be read only once)", where=str(path)
                )
            found = files_in(path, {*TEXTS, *TABLES}) if path.is_dir() else [path]
            if not found:
                raise BadData(
                    "no file here can be read", where=str(path),
                    fix=f"Texts end in {' '.join(sorted(TEXTS))}; tables in {' '.join(TABLES)}",
                )  # fmt: skip
            files += [file.absolute() for file in found]
        return cls(tuple(dict.fromkeys(files)))

    def texts(self) -> Iterator[str]:
        """Yield every document, in parts of at most `LONGEST` characters; blank ones are dropped.

        Raises:
            BadData: a table is malformed or has no column of text.
        """
        for file in self.files:
            for text in _rows(file) if file.suffix.lower() in TABLES else self._lines(file):
                if text.strip():
                    yield text

    def sample(self, characters: int) -> Iterator[str]:
        """Yield documents spread over the corpus, of about this many characters in all."""
        share = characters / max(1, sum(file.stat().st_size for file in self.files))
        taken = 0.0
        for text in self.texts():
            taken += min(1.0, share)
            if taken >= 1:
                taken -= 1
                yield text

    def _lines(self, path: Path) -> Iterator[str]:
        """Yield a file in parts. One that is no UTF-8 text is left out and named."""
        parts: list[str] = []
        try:
            with path.open(encoding="utf-8-sig") as file:
                size = 0
                for line in file:
                    if "\0" in line:
                        raise UnicodeDecodeError("utf-8", b"\0", 0, 1, "binary")
                    parts.append(line)
                    size += len(line)
                    if size >= LONGEST:
                        yield "".join(parts)
                        parts, size = [], 0
        except UnicodeDecodeError:
            self.left_out[str(path)] = "not UTF-8 text"
            return
        except OSError as error:
            self.left_out[str(path)] = str(error.strerror)
            return
        yield "".join(parts)


def _rows(path: Path) -> Iterator[str]:
    for number, row in iter_rows(path):
        column = next((name for name in COLUMNS if isinstance(row.get(name), str)), None)
        if column is None:
            raise BadData(
                f"no text in column {' or '.join(map(repr, COLUMNS))} (columns: {', '.join(row)})",
                where=f"{path}, row {number}",
                fix="Rename the column that holds the text.",
            )
        yield row[column]
