"""The document of `/api/v1/findings`, as the commands that ask a running exporter read it."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

NO_ANSWER = 4
"""Exit code of a command without a document."""


class DocumentError(Exception):
    """There is no document. The message says why, and holds no secret."""


class Part(BaseModel):
    """A part of the document: a newer exporter may have more keys."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Document(Part):
    """The keys of the document that a command needs."""

    content: ClassVar[str]
    """What they are, in the message about a document without them."""

    @classmethod
    def read(cls, text: str) -> Self:
        """Those of a document. Raises `DocumentError` for any other text."""
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            raise DocumentError(
                f"the answer is not from a pg-pool-exporter, or from one without {cls.content}"
            ) from None
