"""DuckDB, and the SQL files that it runs."""
