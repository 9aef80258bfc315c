"""The site's own files: closed to others, and whole."""
