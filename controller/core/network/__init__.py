"""The link-state database and the grid view that is drawn from it."""
