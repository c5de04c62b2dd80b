"""Know how values are sent: as JSON, as JSON text in a string, or as bytes in base64."""


def has_space_around(text: bytes) -> bool:
    """Return whether JSON text has white space around it, which JSON around it would lose."""
    return text[:1] <= b" " or text[-1:] <= b" "
