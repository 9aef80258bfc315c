"""The log of events: its port, and what keeps it: memory, SQLite, KurrentDB."""
