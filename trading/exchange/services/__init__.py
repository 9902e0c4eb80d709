"""What an exchange serves: each service translates, and decides nothing."""
