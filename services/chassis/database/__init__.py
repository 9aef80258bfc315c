"""A service's own database: SQLite or PostgreSQL, tables that are created once, positions."""
