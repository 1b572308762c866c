"""Pages of the documentation that are generated from the code: settings, commands, tables, the Python interface.

``docs/conf.py`` writes them to ``docs/reference/`` before Sphinx reads it; they are not committed.
"""

from itertools import groupby
from pathlib import Path

from forecast_assets.assets.framework.table_columns import TABLES
from forecast_assets.cli.app import COMMANDS
from forecast_assets.cli.knobs import setting_lines
from forecast_assets.core.settings import section_type
from forecast_assets.resources.settings import compose_settings

PROFILE = "full"

SETTINGS = f"""# All settings

Written from the code, with the values of the profile `{PROFILE}`; `forecast-assets knobs` lists those of yours.
[How to change one](../settings.md).
"""
COMMAND_LINE = """# All commands

Written from the code. The common options (`--data-dir`, `--profile`, `--as-of`, `--debug`) may stand before or
after a command's name. Every command that reads takes `--json`.

Completion with the tab key, for bash (`~/.bashrc`), zsh (`~/.zshrc`) and fish (`~/.config/fish/config.fish`):

    eval "$(_FORECAST_ASSETS_COMPLETE=bash_source forecast-assets)"
    eval "$(_FORECAST_ASSETS_COMPLETE=zsh_source forecast-assets)"
    _FORECAST_ASSETS_COMPLETE=fish_source forecast-assets | source

```{eval-rst}
.. click:: forecast_assets.cli.app:cli
   :prog: forecast-assets
   :nested: none
```
"""
TABLE_COLUMNS = """# The tables' columns

Written from the code. Each table is a Parquet file of its asset; `forecast-assets export ASSET out.csv` writes it as CSV.
"""
PYTHON = """# The Python interface

Written from the code; [a page with examples](../python.md).

```{eval-rst}
.. autoclass:: forecast_assets.forecaster.api.Forecaster
   :members:
.. autoclass:: forecast_assets.forecaster.api.Picture
   :members:
.. autoexception:: forecast_assets.forecaster.api.RunFailed
.. autoexception:: forecast_assets.core.errors.UserError
```
"""


def write(folder: Path) -> None:
    """Write all pages; one that is as it was keeps its time, so that Sphinx does not read it again."""
    folder.mkdir(exist_ok=True)
    pages = {"settings": settings(), "commands": commands(), "tables": tables(), "python": PYTHON}
    for name, text in pages.items():
        page = folder / f"{name}.md"
        if not page.is_file() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def settings() -> str:
    """Return every setting with its value and meaning, a table per section, as Markdown."""
    parts = [SETTINGS]
    lines = (line.partition("   # ") for line in setting_lines(compose_settings(PROFILE, [])))
    rows = [(*assigned.split(" = ", 1), meaning) for assigned, _, meaning in lines]
    for section, of_section in groupby(rows, key=lambda row: row[0].partition(".")[0]):
        doc = (section_type(section).__doc__ or "").strip().splitlines()[0]
        parts += [f"## {section}\n\n{doc}\n", "| setting | value | meaning |", "|---|---|---|"]
        parts += [f"| `{name}` | `{value}` | {_cell(meaning)} |" for name, value, meaning in of_section]
        parts.append("")
    return "\n".join(parts)


def commands() -> str:
    """Return the help of every command, as Markdown with sphinx-click's directives."""
    parts = [COMMAND_LINE]
    for name in COMMANDS:
        module = f"forecast_assets.cli.{name.replace('-', '_')}"
        parts.append(
            f"```{{eval-rst}}\n.. click:: {module}:command\n   :prog: forecast-assets {name}\n   :nested: none\n```\n"
        )
    return "\n".join(parts)


def tables() -> str:
    """Return what each column of the assets' tables holds, as Markdown; assets with the same table together."""
    parts = [TABLE_COLUMNS]
    same: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for asset, columns in TABLES.items():
        same.setdefault(tuple(columns.items()), []).append(asset)
    for described, assets in same.items():
        parts += [f"## {', '.join(assets)}\n", "| column | what it holds |", "|---|---|"]
        parts += [f"| `{name}` | {_cell(meaning)} |" for name, meaning in described]
        parts.append("")
    return "\n".join(parts)


def _cell(text: str) -> str:
    """Return text that stands in a cell of a Markdown table as it is."""
    for mark in "\\|<>*_{[":
        text = text.replace(mark, f"\\{mark}")
    return text
