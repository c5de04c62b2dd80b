"""Define the commands that make and revoke credentials."""
