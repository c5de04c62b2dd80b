"""Encode and decode what the native API sends: for its clients, and in part for the server."""
