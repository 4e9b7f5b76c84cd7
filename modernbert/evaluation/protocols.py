"""What must be equal for two retrieval scores to be comparable."""

from __future__ import annotations

from dataclasses import dataclass

from modernbert.errors import BadOption


@dataclass(frozen=True)
class Protocol:
    """A convention of reading documents.

    Attributes:
        titles: is a document's title read before its text?
        max_length: tokens; 0 for the model's own.
        source: whose convention it is.
    """

    name: str
    titles: bool
    max_length: int
    source: str


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
