"""The public ledger: what everybody may see of every dossier, in a log that nobody can rewrite unnoticed."""
