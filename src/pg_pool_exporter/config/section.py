"""What all sections of configuration files have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator


class Section(BaseModel):
    """A mapping in a configuration file: no unknown keys, no values of another kind."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _has_a_value(cls, value: Any) -> Any:
        # `timeout:` with nothing behind it is more likely forgotten than meant as the default.
        if value is None:
            raise ValueError("must have a value, or be left out")
        return value
