"""Durable state behind one protocol: SQLite, embedded."""
