"""The handler that turnrec is held against: the same EXECs over FastAGI, and nothing else.

It is what a competent engineer would write for one call flow: asyncio, one read for the
environment, no parsing that isn't needed. It looks at nothing that Asterisk says, keeps no state
that survives it, writes no ledger, and joins no files. Run as `python -m bench.bare FOLDER
GUARD_MS`; it prints its port.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path


class Session:
    """One AGI session."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def environment(self) -> dict[str, str]:
        """Read what Asterisk says first."""
        text = (await self._reader.readuntil(b"\n\n")).decode("utf-8", "replace")
        return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)

    async def command(self, line: str) -> str:
        """Send one command and read its one line of answer."""
        self._writer.write(f"{line}\n".encode())
        while (answer := await self._reader.readline()) == b"HANGUP\n":
            pass
        return answer.decode("utf-8", "replace").rstrip("\n")


class Bare:
    """Pauses and resumes recordings."""

    def __init__(self, folder: Path, guard_ms: int) -> None:
        self._folder = folder
        self._guard_s = guard_ms / 1000
        self._monitors: dict[str, str] = {}
        self._parts = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one session."""
        session = Session(reader, writer)
        try:
            environment = await session.environment()
            uniqueid = environment["agi_uniqueid"]
            match environment["agi_network_script"]:
                case "start":
                    await self._record(session, uniqueid)
                case "pause":
                    await session.command(f'EXEC StopMixMonitor "{self._monitors.pop(uniqueid)}"')
                case "resume":
                    await session.command(f'EXEC Wait "{self._guard_s:.3f}"')
                    await self._record(session, uniqueid)
                case "hangup":
                    self._monitors.pop(uniqueid, None)
                    return
            await session.command('SET VARIABLE BARE_STATUS "OK"')
        except (OSError, EOFError, KeyError):
            pass  # the caller has gone
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _record(self, session: Session, uniqueid: str) -> None:
        self._parts += 1
        path = self._folder / f"{uniqueid}-{self._parts}.wav"
        await session.command(f'EXEC MixMonitor "{path},i(BARE_MIXMON_ID)"')
        answer = await session.command("GET VARIABLE BARE_MIXMON_ID")
        self._monitors[uniqueid] = answer.partition("(")[2].rstrip(")")


async def main(folder: Path, guard_ms: int) -> None:
    """Serve until killed."""
    bare = Bare(folder, guard_ms)
    server = await asyncio.start_server(bare.serve, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
