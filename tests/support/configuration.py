"""Files of configuration, right and wrong."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from pg_pool_exporter.config import (
    AppConfig,
    BouncerConfig,
    Config,
    ConfigError,
    DnsSdConfig,
    HttpSdConfig,
    KubernetesSdConfig,
    LogConfig,
    PoolConfig,
    Section,
    ServerConfig,
    Thresholds,
    load,
)

SECRET = "hunter2"
"""In no message."""
SECTIONS: list[type[Section]] = [
    Config,
    ServerConfig,
    LogConfig,
    AppConfig,
    PoolConfig,
    Thresholds,
    BouncerConfig,
    HttpSdConfig,
    DnsSdConfig,
    KubernetesSdConfig,
]
"""Those whose keys are documented."""


def write(directory: Path, text: str) -> Path:
    """A file with this text."""
    path = directory / "config.yaml"
    path.write_text(dedent(text))
    return path


def mistakes(path: Path) -> list[str]:
    """The message about the file, without its name."""
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert SECRET not in str(caught.value)
    return [line.removeprefix(f"{path}:").strip() for line in str(caught.value).splitlines()]
