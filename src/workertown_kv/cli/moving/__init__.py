"""The commands that move entries between stores and files: export, import, copy, backup."""
