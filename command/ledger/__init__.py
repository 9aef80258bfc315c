"""`motcua ledger`, `verify`."""
