"""The knobs as a list for people."""

from collections.abc import Iterator

from forecast_assets.core.specs import Settings, Spec


def knob_lines(settings: Settings) -> Iterator[str]:
    """``section.knob = value   # description``, one per knob that a line can hold."""
    for section, spec in settings:
        if not isinstance(spec, Spec):
            continue
        for name, field in type(spec).model_fields.items():
            value = getattr(spec, name)
            if isinstance(value, dict) or (value and isinstance(value, tuple) and isinstance(value[0], Spec)):
                value = f"<{len(value)} entries, see conf/>"
            note = f"   # {field.description}" if field.description else ""
            yield f"{section}.{name} = {value}{note}"
