"""The joint distribution of all tickers' returns: scenarios, what a portfolio risks by them, and their tests."""
