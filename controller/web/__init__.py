"""The operator's page: its files, its stream of what changes, and its way to ask for more, all over HTTP."""
