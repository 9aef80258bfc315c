"""Accounts, and the officials among them."""
