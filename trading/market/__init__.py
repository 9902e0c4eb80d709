"""One market: the pure aggregate of orders, intervals and trades. Commands in; answers, records, effects out."""
