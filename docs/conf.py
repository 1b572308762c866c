"""Sphinx configuration: the pages of this folder, and a reference that is generated from the code (``make docs``)."""

import sys
from importlib import metadata
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tools import reference  # noqa: E402  (needs the path)

project = "forecast_assets"
release = version = metadata.version("forecast-assets")
html_title = f"forecast_assets {release}"
copyright = "its authors, Apache-2.0"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click", "sphinx_copybutton"]
exclude_patterns = ["conf.py"]
html_theme = "furo"
html_show_sphinx = False
html_copy_source = False

myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_member_order = "bysource"


def setup(app: Sphinx) -> None:
    """Show diagrams, which a forge draws, as their text: drawing them here would take scripts from elsewhere."""
    app.add_lexer("mermaid", TextLexer)


reference.write(Path(__file__).parent / "reference")
