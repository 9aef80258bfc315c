"""Other systems: who they are, what for they may ask, and their keys."""
