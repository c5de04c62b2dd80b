"""Share what the storages in an SQLite on a server do alike: D1, and libSQL."""
