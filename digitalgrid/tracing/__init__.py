"""Traces of OpenTelemetry: one request, from its client to the last router's acknowledgement. They are an extra."""
