"""Whose data may be opened, on what ground, and the record of it."""
