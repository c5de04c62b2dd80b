"""The servers of others that ours is measured beside."""
