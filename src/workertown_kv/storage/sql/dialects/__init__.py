"""What each engine adds to the statements of all, and its layout. No driver is imported here."""
