"""What the storages in SQL databases share. No driver is imported here."""
