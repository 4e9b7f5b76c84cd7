"""What must be equal for two retrieval scores to be comparable."""

from __future__ import annotations

from dataclasses import dataclass, replace

from modernbert.errors import BadOption


@dataclass(frozen=True)
class Protocol:
    """A convention of reading documents.

    Attributes:
        titles: is a document's title read before its text?
        max_length: tokens; 0 for the model's own.
        source: whose convention it is.
        identical: are documents with the query's id left out? None where it is as the task says.
    """

    name: str
    titles: bool
    max_length: int
    source: str
    identical: bool | None = None

    def as_followed(
        self, *, max_length: int = 0, passages: int = 0, identical: bool | None = None
    ) -> Protocol:
        """Return what becomes of the protocol when its user wants it otherwise: another name, never its own.

        Args:
            max_length: tokens of a text that are read; 0 for the protocol's own.
            passages: tokens of a passage that documents are cut into; 0 for whole documents.
            identical: are documents with the query's id left out? None where it is as the task says.
        """
        changes = []
        if max_length and max_length != self.max_length:
            changes.append(f"{max_length} tokens")
        if passages:
            changes.append(f"passages of {passages} tokens")
        if identical is not None:
            changes.append(f"identical ids {'left out' if identical else 'kept'}")
        if not changes:
            return self
        name = f"{self.name}, but {', '.join(changes)}"
        return replace(self, name=name, max_length=passages or max_length, identical=identical)


PROTOCOLS = {
    "mteb": Protocol(
        "mteb", titles=True, max_length=0, source="mteb: title and text, the model's own length"
    ),
    "coir": Protocol("coir", titles=False, max_length=512, source="the coir package: text alone, 512 tokens"),
}


def find_protocol(name: str) -> Protocol:
    """Return a protocol by name. Raises BadOption for an unknown one."""
    if name not in PROTOCOLS:
        raise BadOption(f"there is no protocol '{name}'", fix=f"Use {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]
