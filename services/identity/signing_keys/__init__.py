"""The keys that this platform signs tokens with."""
