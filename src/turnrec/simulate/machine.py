"""The far end: Asterisk's channels, variables, MixMonitors and parts, as commands meet them.

What turnrec doesn't send, it doesn't know: a command that it can't play ends the simulation, for a
guessed answer would make all that follows a guess.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from turnrec.asterisk.spool import Spool
from turnrec.simulate.parts import CALLER, MIX, OTHERS, SimulatedMonitor

ANSWER_S: Final = 0.001
"""How long each of Asterisk's answers takes; a real one's, see docs/benchmarks.md."""

_SIDES: Final = re.compile(r"r\((?P<receive>[^)]*)\)t\((?P<transmit>[^)]*)\)")
_ID: Final = re.compile(r"i\((?P<variable>\w+)\)")
_VALUE: Final = re.compile(r"\$\{(?P<name>[^${}]*)\}")
_MONITOR: Final = re.compile(r"MIXMONITOR\((?P<id>.*),filename\)")
_EVENTS_FROM: Final = {16: 17, 18: 3}
"""The events MixMonitorStart, Stop and Mute came with 16.17, 17.6 and 18.3."""


class NotSimulatedError(Exception):
    """Turnrec has sent a command that the simulation can't play."""


@dataclass(slots=True)
class SimulatedChannel:
    """One channel."""

    name: str
    uniqueid: str
    variables: dict[str, str] = field(default_factory=dict)
    monitors: list[SimulatedMonitor] = field(default_factory=list)
    """Those that run, in their order."""


Announce = Callable[[str, dict[str, str]], None]


class SimulatedAsterisk:
    """The machine: channels and what turnrec's commands do to them."""

    def __init__(
        self,
        spool: Spool,
        clock: Callable[[], int],
        *,
        version: str,
        mutes_by_id: bool,
        codec: str,
    ) -> None:
        self.version = version
        self.mutes_by_id = mutes_by_id
        self._spool = spool
        self._clock = clock
        self._codec = codec
        self._numbers = itertools.count(1)
        self._monitor_numbers = itertools.count(1)
        self._has_monitor_events = _tells_of_monitors(version)
        self._has_even_sides = not version.startswith("16.")
        self.channels: dict[str, SimulatedChannel] = {}
        """By uniqueid."""
        self.announce: Announce = lambda _name, _fields: None
        """Tells AMI's listeners of an event."""

    # -------------------------------------------------------------- channels

    def begin_channel(self, name: str) -> SimulatedChannel:
        """A new channel: `PJSIP/caller` becomes PJSIP/caller-00000001."""
        number = next(self._numbers)
        channel = SimulatedChannel(
            f"{name}-{number:08x}",
            f"{self._clock() // 1_000_000}.{number}",
            {
                "CHANNEL(audionativeformat)": f"({self._codec})",
                "CHANNEL(audioreadformat)": self._codec,
            },
        )
        channel.variables |= {
            "CHANNEL(name)": channel.name,
            "CHANNEL(uniqueid)": channel.uniqueid,
        }
        self.channels[channel.uniqueid] = channel
        return channel

    def end_channel(self, channel: SimulatedChannel) -> None:
        """It hangs up: what records it ends with it."""
        for monitor in channel.monitors:
            monitor.close(self._clock())
        channel.monitors.clear()
        del self.channels[channel.uniqueid]
        self.tell("Hangup", channel)

    def find(self, name: str) -> SimulatedChannel | None:
        """A channel by its name or its uniqueid, as Asterisk finds one."""
        found = (one for one in self.channels.values() if name in (one.name, one.uniqueid))
        return next(found, None)

    def tell(self, event: str, channel: SimulatedChannel, **fields: str) -> None:
        """Send an event about a channel."""
        about = {"Channel": channel.name, "Uniqueid": channel.uniqueid}
        self.announce(event, about | fields)

    # -------------------------------------------------------------- expressions

    def expand(self, channel: SimulatedChannel, expression: str) -> str:
        """Replace each `${...}`, the inner ones first."""
        while (found := _VALUE.search(expression)) is not None:
            value = self.value(channel, found["name"])
            expression = expression[: found.start()] + value + expression[found.end() :]
        return expression

    def value(self, channel: SimulatedChannel, name: str) -> str:
        """A channel's variable, or MIXMONITOR(id,filename).

        Raises:
            NotSimulatedError: a function that isn't known here.
        """
        asked = _MONITOR.fullmatch(name)
        if asked is not None:
            return next((one.file for one in channel.monitors if one.id == asked["id"]), "")
        if "(" in name and name not in channel.variables:
            if name.startswith("CHANNEL("):
                return ""  # what an operator's rule may ask for (parties:), unset here
            raise NotSimulatedError(f"the function {name}")
        return channel.variables.get(name, "")

    # -------------------------------------------------------------- applications

    async def run(self, channel: SimulatedChannel, application: str, arguments: str) -> None:
        """Run an application on a channel.

        Raises:
            NotSimulatedError: it isn't known here.
        """
        match application:
            case "MixMonitor":
                file, _, options = arguments.partition(",")
                self.start_monitor(channel, file, options)
            case "StopMixMonitor":
                self.stop_monitor(channel, arguments)
            case "MSet":
                pairs = (pair.partition("=") for pair in arguments.split(","))
                channel.variables |= {name.lstrip("_"): value for name, _, value in pairs}
            case "Wait":
                await asyncio.sleep(float(arguments))
            case "PlayTones" | "StopPlayTones":
                pass
            case _:
                raise NotSimulatedError(f"the application {application}")

    def start_monitor(self, channel: SimulatedChannel, file: str, options: str) -> None:
        """MixMonitor, by application or action."""
        sides = _SIDES.search(options)
        files = {file: MIX}
        if sides is not None:
            # On 16 the two don't lie beside each other (asterisk-facts.md), and so don't add up.
            others = OTHERS if self._has_even_sides else MIX
            files |= {sides["receive"]: CALLER, sides["transmit"]: others}
        monitor_id = f"0x7f{next(self._monitor_numbers):010x}"
        monitor = SimulatedMonitor(
            monitor_id,
            file,
            {self._path(one): loudness for one, loudness in files.items()},
            self._clock(),
        )
        monitor.open()
        channel.monitors.append(monitor)
        wanted = _ID.search(options)
        if wanted is not None:
            channel.variables[wanted["variable"]] = monitor_id
        self._tell_of_monitor("MixMonitorStart", channel)

    def stop_monitor(self, channel: SimulatedChannel, monitor_id: str) -> bool:
        """StopMixMonitor: without an ID the first one found. False where there is none."""
        found = (one for one in channel.monitors if monitor_id in ("", one.id))
        monitor = next(found, None)
        if monitor is None:
            return False
        channel.monitors.remove(monitor)
        monitor.close(self._clock())
        self._tell_of_monitor("MixMonitorStop", channel)
        return True

    def mute_monitors(
        self, channel: SimulatedChannel, monitor_id: str | None, *, muted: bool
    ) -> bool:
        """MixMonitorMute. Older ones don't know an ID, and mute the first one. False: refused."""
        found = channel.monitors[:1]
        if self.mutes_by_id:
            found = [one for one in channel.monitors if monitor_id in (None, one.id)]
            if monitor_id is not None and not found:
                return False
        for monitor in found:
            monitor.mute(self._clock(), muted=muted)
        self._tell_of_monitor("MixMonitorMute", channel, Direction="both", State=str(int(muted)))
        return True

    def _tell_of_monitor(self, event: str, channel: SimulatedChannel, **fields: str) -> None:
        if self._has_monitor_events:
            self.tell(event, channel, **fields)

    def _path(self, file: str) -> Path:
        path = PurePosixPath(file)
        if path.parent != self._spool.asterisk_folder:
            raise NotSimulatedError(f"a monitor that writes outside the spool, {file}")
        return self._spool.path(path.name)


def _tells_of_monitors(version: str) -> bool:
    major, minor = (int(number) for number in version.split(".")[:2])
    return major >= 19 or minor >= _EVENTS_FROM.get(major, 6)
