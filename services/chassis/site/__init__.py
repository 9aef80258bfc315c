"""Whether the stores that a site has belong together."""
