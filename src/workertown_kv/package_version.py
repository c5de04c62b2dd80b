"""Hold the version of the package. The build reads it from this file."""

__version__: str = "0.2.0"
