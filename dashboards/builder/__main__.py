"""Write the dashboards' JSON beside this package: `python -m dashboards.builder`."""

from __future__ import annotations

from pathlib import Path

from dashboards.builder.all import documents

DIRECTORY = Path(__file__).parents[1]


def main() -> None:
    for name, text in documents().items():
        (DIRECTORY / f"{name}.json").write_text(text)


if __name__ == "__main__":
    main()
