"""The archive that replaces the library's sources: a wheel of this clone, or one released elsewhere."""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO

TIMEOUT_SECONDS = 60.0
_SUFFIXES = (".whl", ".tar.gz", ".zip")


class RefusedError(Exception):
    """The command is refused, and nothing was changed. The message gives the reason and the next step."""


@dataclass(frozen=True)
class Archive:
    """An archive of the library, pinned by its hash."""

    requirement: str
    """The requirement that pip and uv install, without the hash."""
    source: str
    """The value of ``flask-ops`` in ``[tool.uv.sources]`` of pyproject.toml."""
    sha256: str
    wheel: bool
    """True if the archive needs no build."""
    vendored: bool
    """True if the archive is in this clone."""

    def lock(self) -> str:
        """Return the text of requirements-library.txt, exactly as ``make lock`` writes it."""
        return f"{self.requirement} \\\n    --hash=sha256:{self.sha256}\n"


def from_wheel(wheel: Path) -> Archive:
    """Describe the wheel ``wheel`` as a file in ``vendor/`` with the same name."""
    path = f"vendor/{wheel.name}"
    return Archive(
        f"./{path}", f'{{ path = "{path}" }}', hashlib.sha256(wheel.read_bytes()).hexdigest(), wheel=True, vendored=True
    )


def from_url(url: str, pin: str | None) -> Archive:
    """Describe a released archive. Download it to compute its hash, unless ``pin`` gives it as ``sha256:HEX``.

    Raises RefusedError if ``url`` is not the https address of an archive, ``pin`` is invalid, or the download fails.
    """
    address, subdirectory = _checked(url)
    if pin is not None and not re.fullmatch("sha256:[0-9a-f]{64}", pin):
        raise RefusedError(f"HASH is {pin!r}. Expected sha256: and 64 hexadecimal digits in lower case.")
    sha256 = pin.removeprefix("sha256:") if pin else _download(address)
    where = f', subdirectory = "{subdirectory}"' if subdirectory else ""
    fragment = f"#subdirectory={subdirectory}" if subdirectory else ""
    return Archive(
        f"flask-ops @ {address}{fragment}",
        f'{{ url = "{address}"{where} }}',
        sha256,
        wheel=urllib.parse.urlsplit(address).path.endswith(".whl"),
        vendored=False,
    )


def _checked(url: str) -> tuple[str, str]:
    """Return the address without its fragment, and the subdirectory that the fragment names, if any."""
    address, _, fragment = url.partition("#")
    parts = urllib.parse.urlsplit(address)
    name = parts.path.rpartition("/")[2]
    if parts.scheme.startswith("git"):
        raise RefusedError(f"URL is {url!r}. pip cannot check the hash of a git repository. Use the archive of a tag.")
    if parts.scheme != "https" or not parts.hostname:
        raise RefusedError(f"URL is {url!r}. Expected an address that begins with https://.")
    if not re.fullmatch(r"[!-~]+", url) or set(url) & set("\"'\\|"):
        raise RefusedError(f"URL is {url!r}. Percent-encode spaces, quotes and other special characters.")
    if parts.username is not None:
        raise RefusedError("URL contains a user name or a password, which would be written into the lock.")
    if not name.endswith(_SUFFIXES):
        raise RefusedError(f"URL is {url!r}. Expected the address of an archive: {', '.join(_SUFFIXES)}.")
    if name.endswith(".whl") and not (name.startswith("flask_ops-") and not fragment):
        raise RefusedError(f"URL is {url!r}. Expected a wheel called flask_ops-VERSION-py3-none-any.whl, and no #.")
    if fragment and not re.fullmatch(r"subdirectory=[\w-][\w.-]*(/[\w-][\w.-]*)*", fragment):
        raise RefusedError(f"URL ends with {'#' + fragment!r}. Expected #subdirectory=FOLDER or nothing.")
    return address, fragment.removeprefix("subdirectory=")


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Refuse a redirect to plain http. pip would follow it."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://"):
            raise RefusedError(f"{req.full_url} redirects to {newurl}. Expected only addresses with https://.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(address: str) -> str:
    """Return the SHA-256 of the content at ``address``."""
    digest = hashlib.sha256()
    try:
        with urllib.request.build_opener(_OnlyHttps).open(address, timeout=TIMEOUT_SECONDS) as answer:
            while block := answer.read(1 << 16):
                digest.update(block)
    except (OSError, http.client.HTTPException) as error:
        raise RefusedError(
            f"The download of {address} failed: {error}. Without a network, give the hash: HASH=sha256:..."
        ) from error
    return digest.hexdigest()
