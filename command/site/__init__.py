"""Of the site as a whole: stores that belong together, its first administrator, its keys, its catalogue."""
