"""The parts of a URL that may name several hosts."""

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

_AUTHORITY: Final = re.compile("(?<=://)[^/?#]*")


def url_parts(url: str) -> SplitResult:
    """Return the parts of a URL. Raises `ValueError`.

    Some releases of Python refuse an IPv6 address that is not the first of several hosts. So the
    hosts are kept from `urlsplit`, and the code that splits them checks each.
    """
    found = _AUTHORITY.search(url)
    if found is None:
        return urlsplit(url)
    rest = url[: found.start()] + url[found.end() :]
    return urlsplit(rest)._replace(netloc=found[0])
