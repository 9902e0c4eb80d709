"""The client library of a market, blocking; and what anybody can check of its ledger without asking it."""
