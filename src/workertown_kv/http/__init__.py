"""The exchange: a request on its way through the server, and the answer to it."""
