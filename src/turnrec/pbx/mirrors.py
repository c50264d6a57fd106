"""Finds the Debian mirrors in a machine's apt sources; never fetches and never names a host."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

# A third party may call its suite "stable" too, so an alias counts only below a path ".../debian".
DEBIAN_CODENAMES = frozenset(
    {"buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid"},
)
DEBIAN_ALIASES = frozenset({"oldoldstable", "oldstable", "stable", "testing", "unstable"})

_ONE_LINE = re.compile(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)((?:\s+[^\s#]+)*)")
_CREDENTIALS = re.compile(r"//[^/@]*@")


@dataclass(frozen=True)
class AptSource:
    """One binary source of apt: where, which suites, which components."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]


def parse_one_line(text: str) -> tuple[AptSource, ...]:
    """Read the classic format: `deb [options] uri suite component...` per line."""
    found = (_ONE_LINE.match(line.strip()) for line in text.splitlines())
    return tuple(
        AptSource((match[1],), (match[2],), tuple(match[3].split())) for match in found if match
    )


def parse_deb822(text: str) -> tuple[AptSource, ...]:
    """Read the deb822 format: paragraphs of `Field: value`, values may go on indented lines."""
    return tuple(
        AptSource(
            tuple(fields["uris"].split()),
            tuple(fields["suites"].split()),
            tuple(fields.get("components", "").split()),
        )
        for fields in _paragraphs(text)
        if "deb" in fields.get("types", "").split()
        and fields.get("enabled", "yes").strip().lower() not in {"no", "false", "off", "0"}
        and "uris" in fields
        and "suites" in fields
    )


def _paragraphs(text: str) -> Iterator[dict[str, str]]:
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines)):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.splitlines():
            if line[:1] in {" ", "\t"} and name:
                fields[name] += " " + line.strip()
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        yield fields


def debian_mirrors(sources: Iterable[AptSource]) -> tuple[str, ...]:
    """Give the URIs that may be Debian's main archive, the likeliest first.

    Only the archive's signature decides in the end (packages.py); here is sorted out what can't
    be it: other distributions, third parties with suites of their own, security archives.
    """
    sure: dict[str, None] = {}  # a dict keeps the order and drops what comes twice
    maybe: dict[str, None] = {}
    for source in sources:
        if "main" not in source.components:
            continue
        for uri in source.uris:
            bare = uri.rstrip("/")
            if bare.endswith("/debian") and (DEBIAN_CODENAMES | DEBIAN_ALIASES) & {*source.suites}:
                sure[bare] = None
            elif DEBIAN_CODENAMES & {*source.suites}:
                maybe[bare] = None
    return tuple({**sure, **maybe})


def machine_sources(etc_apt: Path = Path("/etc/apt")) -> tuple[AptSource, ...]:
    """Read every source of this machine that this user may read."""
    parts = etc_apt / "sources.list.d"
    found: list[AptSource] = []
    for path in (etc_apt / "sources.list", *sorted(parts.glob("*.list"))):
        found += parse_one_line(_read(path))
    for path in sorted(parts.glob("*.sources")):
        found += parse_deb822(_read(path))
    return tuple(found)


def without_credentials(uri: str) -> str:
    """Give the URI as it may be shown: a private mirror's may hold a user and a password."""
    return _CREDENTIALS.sub("//", uri)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
