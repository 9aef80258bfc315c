"""Who calls: tokens, roles, certificates."""
