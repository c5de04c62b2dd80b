"""Define what the storages in Workers KV share: the layout of entries, and cursors."""
