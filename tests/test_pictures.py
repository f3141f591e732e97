"""The pictures of the documentation show what there is now."""

from __future__ import annotations

from tools.pictures.camera import MOST_BYTES
from tools.pictures.record import IMAGES, digests, stale


def test_pictures_are_of_now() -> None:
    assert stale() == [], "make them again: make pictures"


def test_pictures_are_small_and_all_are_known() -> None:
    found = {path.name: path.stat().st_size for path in IMAGES.glob("*.png")}
    assert found.keys() == digests().keys()
    assert max(found.values()) <= MOST_BYTES
