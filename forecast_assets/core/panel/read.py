"""Open an input file as what it is: text or Parquet, in one of the layouts that people have."""

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.adapters.parquet_tables import ParquetTable, is_parquet, open_parquet
from forecast_assets.core.panel.adapters.text_tables import TextTable, open_text
from forecast_assets.core.panel.input_file import InputFile
from forecast_assets.core.specs import PanelSpec


def open_table(file: InputFile, panel: PanelSpec) -> TextTable | ParquetTable:
    """Recognise a file by its content. Raises BadInput for one that is missing, empty, no table or not one of prices."""
    if not file.path.is_file():
        raise BadInput(f"{file.path}: no such file; name the raw panel with FORECAST_PANEL or --panel")
    if file.path.stat().st_size == 0:
        raise BadInput(f"{file.name}: the file is empty; it needs a header and at least one row")
    spec = file.spec(panel)
    if is_parquet(file.path) or file.path.suffix.lower() in (".parquet", ".pq"):
        return open_parquet(file, spec)
    return open_text(file, spec)
