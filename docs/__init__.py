"""The documentation, and the modules that write its reference pages and run its examples."""
