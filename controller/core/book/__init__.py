"""The circuit database of a term and its audit trail."""
