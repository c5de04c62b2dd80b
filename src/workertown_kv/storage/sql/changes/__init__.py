"""Record the changes of a table on a server, and read them in order."""
