"""Define the statements and the layout of each engine. No driver is imported here."""
