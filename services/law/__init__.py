"""Procedures, fees, validity and deadlines as values and pure functions."""
