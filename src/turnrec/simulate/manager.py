"""Asterisk's manager interface, as far as turnrec's own commands and eyes need it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from turnrec.simulate.machine import (
    ANSWER_S,
    NotSimulatedError,
    SimulatedAsterisk,
    SimulatedChannel,
)
from turnrec.simulate.wire import Over, Tap

ADDRESS: Final = ("127.0.0.1", 5038)
_GREETING: Final = b"Asterisk Call Manager/11.0.0\r\n"
_OF_NO_CALL: Final = frozenset({"Login", "Filter", "CoreSettings", "CoreShowChannels"})
"""What a session begins with, and the sweep's list."""

Fields = Mapping[str, str]


class SimulatedManager:
    """The manager's port and whoever is logged in."""

    def __init__(self, asterisk: SimulatedAsterisk, tap: Tap) -> None:
        self._asterisk = asterisk
        self._tap = tap
        self._server: asyncio.AbstractServer | None = None
        self._listening: list[asyncio.StreamWriter] = []
        self.failure: NotSimulatedError | None = None
        """What couldn't be played."""
        self._on_channel: Final[
            Mapping[str, Callable[[SimulatedChannel, Fields], dict[str, str] | None]]
        ] = {
            "Getvar": self._get,
            "Setvar": self._set,
            "MixMonitor": self._start,
            "StopMixMonitor": self._stop,
            "MixMonitorMute": self._mute,
        }
        asterisk.announce = self.announce

    async def open(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_server(self._serve, *ADDRESS)

    def close(self) -> None:
        """Take no more."""
        if self._server is not None:
            self._server.close()

    def announce(self, name: str, fields: Fields) -> None:
        """Send an event to whoever listens."""
        for writer in self._listening:
            writer.write(_message({"Event": name, "Privilege": "call,all", **fields}))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_GREETING)
        fields: dict[str, str] = {}
        while line := await reader.readline():
            name, colon, value = line.decode().rstrip("\r\n").partition(":")
            if colon:
                fields[name] = value.strip()
                continue
            try:
                await self._answer(fields, writer)
            except NotSimulatedError as error:
                self.failure = self.failure or error
                return
            fields = {}
        writer.close()

    async def _answer(self, fields: dict[str, str], writer: asyncio.StreamWriter) -> None:
        action_id = fields.pop("ActionID")
        action = fields["Action"]
        if action in _OF_NO_CALL:
            for message in self._beyond_calls(action):
                writer.write(_message({**message, "ActionID": action_id}))
            if action == "Login":
                writer.write(_message({"Event": "FullyBooted", "Privilege": "system,all"}))
                self._listening.append(writer)
            return
        channel = self._asterisk.find(fields.get("Channel", ""))
        sent = "\r\n".join(f"{name}: {value}" for name, value in fields.items())
        command = self._tap.note(Over.AMI, "" if channel is None else channel.name, sent)
        answer = self._obey(action, channel, fields)
        await asyncio.sleep(ANSWER_S)
        said = "".join(f", {name}: {value}" for name, value in answer.items() if name != "Response")
        self._tap.answered(command, answer["Response"] + said)
        writer.write(
            _message({"Response": answer.pop("Response"), "ActionID": action_id, **answer})
        )

    def _beyond_calls(self, action: str) -> Iterator[dict[str, str]]:
        """The answer to what is asked without any call's doing."""
        yield {"Response": "Success", "AsteriskVersion": self._asterisk.version}
        if action == "CoreShowChannels":
            for channel in self._asterisk.channels.values():
                yield {
                    "Event": "CoreShowChannel",
                    "Channel": channel.name,
                    "Uniqueid": channel.uniqueid,
                }
            yield {"Event": "CoreShowChannelsComplete"}

    def _obey(
        self, action: str, channel: SimulatedChannel | None, fields: Fields
    ) -> dict[str, str]:
        if action == "Ping":
            return {"Response": "Success", "Ping": "Pong"}
        obey = self._on_channel.get(action)
        if obey is None:
            raise NotSimulatedError(f"the action {action}")
        if channel is None:
            return {"Response": "Error", "Message": "No such channel"}
        answer = obey(channel, fields)
        if answer is None:
            return {"Response": "Error", "Message": "No such MixMonitor"}
        return {"Response": "Success", **answer}

    def _get(self, channel: SimulatedChannel, fields: Fields) -> dict[str, str]:
        name = fields["Variable"]
        return {"Variable": name, "Value": self._asterisk.value(channel, name)}

    def _set(self, channel: SimulatedChannel, fields: Fields) -> dict[str, str]:
        channel.variables[fields["Variable"]] = fields["Value"]
        return {}

    def _start(self, channel: SimulatedChannel, fields: Fields) -> dict[str, str]:
        self._asterisk.start_monitor(channel, fields["File"], fields["Options"])
        return {}

    def _stop(self, channel: SimulatedChannel, fields: Fields) -> dict[str, str] | None:
        done = self._asterisk.stop_monitor(channel, fields.get("MixMonitorID", ""))
        return {} if done else None

    def _mute(self, channel: SimulatedChannel, fields: Fields) -> dict[str, str] | None:
        monitor_id, muted = fields.get("MixMonitorID"), fields["State"] == "1"
        done = self._asterisk.mute_monitors(channel, monitor_id, muted=muted)
        return {} if done else None


def _message(fields: Fields) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in (*fields.items(),)).encode() + b"\r\n"
