"""Closures that nobody could plan for: attacks, storms, mourning, holidays decreed days before.

A calendar library lists them like any other holiday, so that their day would count as closed weeks before it was known
to be. What is known of the sessions ahead therefore counts over *planned* sessions, these days among them (see
``sessions.planned_sessions``). A closure is unforeseen where it was announced less than 28 days, the longest horizon's
20 sessions, ahead; it stays planned for the rows between announcement and closure too.

Sources: the exchanges' own notices and histories (nyse.com "Special Closings", hkex.com.hk "Severe Weather
Arrangements", twse.com.tw "Holiday Schedule", jpx.co.jp on the failure of 2020-10-01, krx.co.kr, bseindia.com circulars)
and the comments of exchange_calendars.
"""

import datetime as dt
from collections.abc import Iterable

PLANNED_BUT = {
    "XHKG": (  # typhoons
        "1992-07-22 1993-06-24 1993-09-17 1999-09-16 2001-07-06 2001-07-25 2008-08-06 2008-08-22 2011-09-29 2013-08-14 "
        "2016-08-02 2016-10-21 2017-08-23 2020-10-13 2021-10-13 2023-07-17 2024-09-06"
    ),
    "XTAI": (  # typhoons
        "2002-09-06 2004-08-24 2004-08-25 2004-10-25 2005-07-18 2005-08-05 2005-09-01 2007-09-18 2008-07-28 2008-09-29 "
        "2009-08-07 2012-08-02 2013-08-21 2014-07-23 2015-07-10 2015-09-29 2016-07-08 2016-09-27 2016-09-28 2019-08-09 "
        "2019-09-30 2023-08-03 2024-07-24 2024-07-25 2024-10-02 2024-10-03"
    ),
    "XPHS": (  # typhoons and floods; state funerals of 2009
        "2009-08-05 2009-09-07 2011-09-27 2012-08-07 2013-08-19 2013-08-20 2014-07-16 2014-09-19 2014-12-08 2017-09-12"
    ),
    "XIST": "2002-01-04 2003-11-21 2004-01-23 2023-02-08 2023-02-09 2023-02-10 2023-02-13 2023-02-14",  # earthquake
    "XTKS": "2020-10-01",  # the trading system failed
    "XKRX": "2002-07-01 2015-08-14 2016-05-06 2017-10-02 2020-08-17 2023-10-02 2024-10-01 2025-01-27",  # decreed
    "XBOM": "2005-07-28 2008-11-27 2023-06-29 2024-01-22 2024-11-20 2026-01-15",  # floods, attacks, decreed holidays
    "XSHG": "2020-01-31",  # the New Year break was prolonged
    "XBUE": (  # bank holidays of the crisis; influenza
        "2002-01-07 2002-01-08 2002-01-09 2002-01-10 2002-01-11 2002-01-14 2002-01-15 2002-01-16 2002-04-22 2002-04-23 "
        "2002-04-24 2002-04-25 2002-04-26 2009-07-10"
    ),
    "XBKK": "2006-09-20 2010-05-20 2010-05-21",  # a coup, unrest
    "XKLS": "2017-09-04 2018-05-10 2018-05-11 2023-04-21",  # decreed
    "XIDX": "2008-10-09 2008-10-10 2015-12-09 2017-02-15 2017-04-19 2020-12-09 2024-11-27",  # trading halt; elections
    "XSES": "2015-09-11 2020-07-10 2023-09-01",  # polling days
    "XNZE": "2022-09-26",  # mourning
    "XSAU": "",
}
"""Calendars that list planned holidays as ad hoc ones, lunar ones mostly: all are planned but these."""

UNFORESEEN_BUT = {
    "XNYS": (  # days beside holidays; the paper crisis' Wednesdays from the third on; elections
        "1956-12-24 1958-12-26 1961-05-29 1968-02-12 1968-06-26 1968-07-05 1968-07-10 1968-07-17 1968-07-24 1968-07-31 "
        "1968-08-07 1968-08-14 1968-08-21 1968-08-28 1968-09-11 1968-09-18 1968-09-25 1968-10-02 1968-10-09 1968-10-16 "
        "1968-10-23 1968-10-30 1968-11-11 1968-11-20 1968-12-04 1968-12-11 1968-12-18 1968-12-25"
    ),
    "XLON": (  # jubilees, a wedding, a coronation, the turn of the century
        "1977-06-07 1981-07-29 1995-05-08 1999-12-31 2002-06-03 2002-06-04 2011-04-29 2012-06-04 2012-06-05 2020-05-08 "
        "2022-06-02 2022-06-03 2023-05-08"
    ),
    "XASX": "1999-12-31 2011-04-26",
    "XETR": "2007-05-28 2017-10-31",
    "XFRA": "2007-05-28 2017-10-31",
    "XHAM": "2007-05-28 2017-10-31",
    "XDUS": "2007-05-28 2017-10-31",
    "XWAR": "2007-12-31 2008-05-02 2009-01-02 2013-04-16 2018-01-02",
    "XPRA": "2004-01-02 2005-01-03",
    "ASEX": "2002-05-07 2004-08-13 2014-12-31 2016-05-03",
    "XTAE": "2019-04-09 2019-09-17 2020-03-02 2021-03-23 2022-11-01",  # elections
    "XJSE": (  # elections
        "1999-06-02 2004-04-14 2006-03-01 2008-05-02 2009-04-22 2011-05-18 2011-12-27 2014-05-07 2016-08-03 2016-12-27 "
        "2019-05-08"
    ),
    "XMEX": "2010-09-17",
    "BVMF": "2014-06-12",
    "XSGO": "2010-09-17 2010-09-20 2017-01-02 2017-04-19 2018-01-16 2022-09-16",
    "XLIM": (
        "2009-01-02 2009-07-27 2012-10-01 2012-10-02 2015-01-02 2015-07-27 2015-10-09 2016-11-17 2016-11-18 2018-04-13"
    ),
}
"""Calendars whose ad hoc closures are events: none is planned but these. So too for a calendar in neither table."""


def unforeseen(exchange: str, closures: Iterable[dt.date]) -> list[dt.date]:
    """Return those of the ad hoc ``closures`` of ``exchange`` that nobody knew of a month ahead, ascending."""
    days = sorted(set(closures))
    if exchange in PLANNED_BUT:
        events = _dates(PLANNED_BUT[exchange])
        return [day for day in days if day in events]
    planned = _dates(UNFORESEEN_BUT.get(exchange, ""))
    return [day for day in days if day not in planned]


def _dates(text: str) -> set[dt.date]:
    return {dt.date.fromisoformat(day) for day in text.split()}
