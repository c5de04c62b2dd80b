"""Move entries between stores, and between a store and a file: exports, imports, copies."""
