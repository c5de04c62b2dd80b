"""Read requests and send their answers."""
