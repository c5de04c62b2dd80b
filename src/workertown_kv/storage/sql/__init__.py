"""Share code among the storages in SQL databases. No driver is imported here."""
