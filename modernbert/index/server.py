"""The PostgreSQL server that holds an index: its address, the connection, and what its errors mean.

A password is in the address, in PGPASSWORD or in ~/.pgpass. It is never shown: neither by an `Address` nor
in a sentence, for which the server's own words are taken only where they cannot hold it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from modernbert.errors import BadData, BadOption, MbertError, NotAvailable

if TYPE_CHECKING:
    import psycopg

FORM = "postgresql://USER@HOST/DATABASE"
# The schema that holds an index's tables, unless the address names another one.
SCHEMA = "mbert"
CONNECT_SECONDS = 10
_SECRET = ("password", "sslpassword")


@dataclass(frozen=True)
class Address:
    """Where an index is.

    Attributes:
        uri: what the client library connects to.
        schema: that of its tables.
        shown: the same for people, and for commands to type, without a password.
    """

    uri: str = field(repr=False)
    schema: str
    shown: str

    def __str__(self) -> str:
        return self.shown


def is_address(text: str) -> bool:
    """Is this an address, and no path?"""
    return re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", text) is not None


def read_address(text: str) -> Address:
    """Read an address such as `postgresql://user@host/database?schema=articles`.

    Raises:
        BadOption: it is none.
    """
    wrong = BadOption(
        f"this is no address of a PostgreSQL database such as {FORM}",
        fix="In a password, write @ as %40, / as %2F, : as %3A and % as %25; or leave it to PGPASSWORD.",
    )
    try:
        scheme, place, path, query, rest = urlsplit(text)
        options = dict(parse_qsl(query, strict_parsing=bool(query)))
    except ValueError:
        raise wrong from None
    # What libpq would read otherwise than it was meant could be a part of the password.
    login, _, host = place.rpartition("@")
    if scheme not in ("postgresql", "postgres") or not text.isprintable():
        raise wrong
    if "@" in login or rest or path.count("/") > 1:
        raise wrong
    if login.count(":") > 1 or not re.fullmatch(r"[\w.,:\[\]%-]*", host):
        raise wrong
    schema = options.pop("schema", SCHEMA)
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema) or schema.startswith("pg_"):
        fix = "Use small letters, digits and _, such as ?schema=articles."
        raise BadOption("the address names a schema that cannot be used", fix=fix)
    user = login.partition(":")[0]
    public = {name: value for name, value in options.items() if name not in _SECRET}
    public |= {} if schema == SCHEMA else {"schema": schema}
    where = f"{user}@{host}" if user else host
    return Address(_joined(scheme, place, path, options), schema, _joined(scheme, where, path, public))


def _joined(scheme: str, place: str, path: str, options: dict[str, str]) -> str:
    return f"{scheme}://{place}{path}" + (f"?{urlencode(options, safe='/')}" if options else "")


@contextmanager
def connected(address: Address) -> Iterator[psycopg.Connection[Any]]:
    """Be connected for the length of the block; each statement is a transaction of its own.

    Raises:
        BadOption: psycopg is not installed; a wrong password, or too few rights.
        NotAvailable: the server cannot be reached, or was lost.
        BadData: it refuses what it was given.
    """
    try:
        import pgvector.psycopg  # noqa: F401 - needed as soon as vectors are read
        import psycopg
    except ImportError as error:
        fix = "Next: pip install 'mbert[postgres]'"
        raise BadOption(f"an index in PostgreSQL needs {error.name}", fix=fix) from None
    try:
        # Without prepared statements: poolers between here and the server may lose them.
        opened = psycopg.connect(
            address.uri, autocommit=True, prepare_threshold=None, connect_timeout=CONNECT_SECONDS,
            application_name="mbert", client_encoding="utf8",
        )  # fmt: skip
    except psycopg.Error as error:
        raise _not_connected(error, address) from None
    try:
        with opened as connection:
            yield connection
    except psycopg.Error as error:
        raise _told(error, address) from None


def _not_connected(error: psycopg.Error, address: Address) -> MbertError:
    import psycopg

    said, where = str(error), address.shown
    if "password" in said:
        return BadOption(
            "the server does not accept this user's password, or wants one", where=where,
            fix="Give it in PGPASSWORD, in ~/.pgpass, or in the address (postgresql://USER:PASSWORD@...).",
        )  # fmt: skip
    if fatal := re.search(r"FATAL: +(.+)", said):  # the server's words: it knows no password
        return BadOption(f"the server refuses the connection ({fatal[1]})", where=where)
    if isinstance(error, psycopg.ProgrammingError):  # of libpq, before it connects
        return BadOption("the address has an option that PostgreSQL does not know", where=where)
    return NotAvailable(
        "the PostgreSQL server cannot be reached", where=where,
        fix="Is it running, and are host and port right? psql with the same address tells more.",
    )  # fmt: skip


def _told(error: psycopg.Error, address: Address) -> MbertError:
    from psycopg import errors

    where, said = address.shown, str(error).partition("\n")[0]
    if isinstance(error, errors.InsufficientPrivilege):
        return BadOption(
            f"this user may not do that ({said})", where=where,
            fix=f"Its owner grants it: GRANT CREATE ON DATABASE ... TO ..., or the rights on schema "
            f"{address.schema}.",
        )  # fmt: skip
    if isinstance(error, errors.DiskFull):
        return NotAvailable("the server's disk is full", where=where, fix="What was indexed before is there.")
    if isinstance(error, (errors.OperationalError, errors.InterfaceError)):
        return NotAvailable(
            "the connection to the PostgreSQL server was lost", where=where,
            fix="Every file that was stored is whole. The same command goes on from there.",
        )  # fmt: skip
    return BadData(f"the PostgreSQL server refuses this ({said})", where=where)
