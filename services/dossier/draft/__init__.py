"""A draft: what an applicant has filled in so far. It becomes a dossier once."""
