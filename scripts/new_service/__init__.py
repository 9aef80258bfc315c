"""Writes a new service: its protos, its folder, a test, and its name wherever services are named."""
