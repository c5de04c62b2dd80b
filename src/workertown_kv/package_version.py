"""Know the version of the package, which its metadata takes from here."""

__version__: str = "0.1.0"
