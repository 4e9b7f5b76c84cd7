"""What all parts of a record are: frozen, checked, and described by their fields.

A part called `Stored...` is what a record keeps of a class that has the rest of the name elsewhere.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat

from modernbert.settings.forms import by_name

LARGEST = 2**63 - 1
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Amount = Annotated[FiniteFloat, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d")]
# A list, as TOML files and options give it, becomes a tuple.
Several = Annotated[
    tuple[str | int, ...], BeforeValidator(lambda given: tuple(given) if isinstance(given, list) else given)
]
Setting = str | bool | Annotated[int, Field(ge=-LARGEST, le=LARGEST)] | FiniteFloat | Several | None
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Part(BaseModel):
    """Some of what a record holds: frozen, checked when it is made and when it is read, never converted.

    What another version wrote besides is kept as it is. A field without a value is not written.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as it is written."""
        return self.model_dump(mode="json", exclude_unset=True)

    def with_values(self, **values: Any) -> Self:
        """Return a copy with other values, checked. Raises pydantic's ValidationError."""
        kept = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self).model_validate({**kept, **values})


class Config(Part):
    """What a run was carried out with."""

    def by_name(self) -> dict[str, Any]:
        """Return the settings by name (`lora_rank`)."""
        return by_name(self.as_dict())
