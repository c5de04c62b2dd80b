"""Define the APIs: their routes, and the codecs between requests and operations."""
