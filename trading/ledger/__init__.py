"""Ledgers: who has how much money, what is in escrow for which trade, and proofs of it."""
