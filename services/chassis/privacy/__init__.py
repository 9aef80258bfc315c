"""Sealed fields, and what of an event everybody may see."""
