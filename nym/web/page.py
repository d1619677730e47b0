"""The files of a page, as answers to GET (docs/protocol/pages.md)."""

from collections.abc import Iterable
from functools import cache
from pathlib import PurePosixPath

from nym.net.resource import Resource
from nym.web import files

BELOW = "/web/"  # the path of all files but the page itself, which is at /
INDEX = "index.html"
COMMON = (
    "common/dom.js",
    "common/look.css",
    "common/numbers.js",
    "common/plots.js",
    "common/socket.js",
    "common/text.js",
    "vendor/uplot.min.css",
    "vendor/uplot.min.js",
)

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Nothing but the files of this server, and no code or style inside HTML: text from elsewhere stays
# text, even if a mistake of a page made it markup. No other page can frame this one, and none
# learns its address from a link.
_HEADERS = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),  # for browsers that don't know frame-ancestors
]


class Page:
    """The page in the folder `name`, with its other files in that folder."""

    def __init__(self, name: str, others: Iterable[str]) -> None:
        names = [f"{name}/{other}" for other in others]
        self._files = {"/": f"{name}/{INDEX}"}
        self._files |= {f"{BELOW}{file}": file for file in (*COMMON, *names)}

    def __contains__(self, path: str) -> bool:
        return path in self._files

    def __getitem__(self, path: str) -> Resource:
        """What is at this path, where something is."""
        return _resource(self._files[path])


@cache  # nothing is read before somebody asks for it
def _resource(file: str) -> Resource:
    return Resource(files.read(file), _TYPES[PurePosixPath(file).suffix], more=_HEADERS)
