"""Trying the platform without the state: the sandboxes, tokens, a short day."""
