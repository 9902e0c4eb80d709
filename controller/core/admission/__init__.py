"""Admission control: a route with room for a request, or the reason why there is none."""
