"""`motcua up`, `serve`: processes, and how a start is refused."""
