"""Circuits as values: states, generations, routes, reservations, and their stored form."""
