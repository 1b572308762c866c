"""Dates as the tensors hold them: days since 1970-01-01."""

import datetime as dt

EPOCH = dt.date(1970, 1, 1)


def to_day(date: dt.date) -> int:
    """Days since 1970-01-01."""
    return (date - EPOCH).days


def to_date(day: int) -> dt.date:
    """Its inverse."""
    return EPOCH + dt.timedelta(days=day)
