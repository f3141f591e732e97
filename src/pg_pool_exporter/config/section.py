"""The base of all sections of configuration files."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator


class Section(BaseModel):
    """A mapping in a configuration file: no unknown keys, no values of the wrong type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _has_a_value(cls, value: Any) -> Any:
        # `timeout:` without a value is more likely forgotten than meant as the default.
        if value is None:
            raise ValueError("must have a value, or be left out")
        return value
