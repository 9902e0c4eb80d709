"""The exchange: the daemon around a market, which asks controllers and ledgers, and serves parties."""
