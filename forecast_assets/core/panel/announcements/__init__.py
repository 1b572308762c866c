"""The latent announcement calendar: when companies reported, inferred from prices and volume, and when they will again.

A single stock's variance is dominated by its quarterly announcements, about four days a year. Past ones stand out by gap,
return, range and volume; the next ones follow from them, since companies report at about the same time every year. All is
causal: a row's columns depend on rows up to its close alone.

``weekdays``    the days of a panel on an axis on which a quarter is 65 steps
``observations`` the quoted rows as arrays, and the grid of weekdays and tickers
``surprises``   returns without the market's and the sector's part, and what of a row points to an announcement
``model``       how likely an announcement is given the past ones, and given a row; fitted once a year on what came before
``filtering``   the posterior of each row, and the expected announcements ahead, day by day
``columns``     what the feature panel takes from it
``build``       the whole of it for a panel that comes in parts, and its continuation by new rows
"""
