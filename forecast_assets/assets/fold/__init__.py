"""What the stages of one test year (a fold) share: fitting, forecast files, diagnostics, losses."""
