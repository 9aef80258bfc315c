"""`motcua track`: what the log has of one dossier."""
