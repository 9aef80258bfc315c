"""The write path: load, decide, append; and stored events as messages."""
