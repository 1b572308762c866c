"""Convert dates to and from days since 1970-01-01, as the tensors hold them."""

import datetime as dt

EPOCH = dt.date(1970, 1, 1)


def to_day(date: dt.date) -> int:
    """Return days since 1970-01-01."""
    return (date - EPOCH).days


def to_date(day: int) -> dt.date:
    """Return the date of ``day`` days since 1970-01-01."""
    return EPOCH + dt.timedelta(days=day)
