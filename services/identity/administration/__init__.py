"""Who administrates the site first."""
