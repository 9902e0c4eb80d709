"""Plug-ins: what packages of others add by entry points, each kind by one small interface."""
