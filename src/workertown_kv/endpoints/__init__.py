"""The doors: each a codec between requests and operations, and its routes."""
