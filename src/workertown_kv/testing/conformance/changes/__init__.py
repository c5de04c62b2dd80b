"""Test the log of changes: that no change is missed, and that none comes twice."""
