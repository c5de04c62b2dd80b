"""Define the commands that read and write entries."""
