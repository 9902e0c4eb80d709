"""Protobuf packages of the trading plane."""
