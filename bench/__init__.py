"""The server measured beside others, on the machine at hand: `python -m bench`."""
