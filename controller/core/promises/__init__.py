"""What was promised is kept: circuits are set up, moved around faults, changed and released."""
