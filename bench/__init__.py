"""Measures the server beside others, on the machine at hand: `python -m bench`."""
