"""What all who watch have in common: a journal of what was told, and a budget of the loop's time for telling it."""
