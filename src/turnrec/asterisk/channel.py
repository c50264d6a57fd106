"""One channel of Asterisk, reached by its own AGI session or by AMI: the two paths, one Protocol.

A path carries single commands. What they prove, and in which order they must come, is
`mixmonitor`'s business.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Final, Protocol

from turnrec.asterisk.agi import AgiSession
from turnrec.asterisk.agi_protocol import AgiArgumentError
from turnrec.asterisk.ami import AmiClient
from turnrec.asterisk.ami_errors import AmiError, AmiRefusedError
from turnrec.asterisk.ami_message import AmiResponse
from turnrec.asterisk.tally import Deed, Tally
from turnrec.core.errors import AsteriskUnreachableError, UnansweredError
from turnrec.core.monitor import DIALPLAN

ID_VARIABLE = "TURNREC_MIXMON_ID"
"""Set by MixMonitor itself (option `i`), so that it names the monitor from its first instant."""

_NO_CHANNEL: Final = "no such channel"
_MONITOR_ID = re.compile(r"0x[0-9a-fA-F]{1,16}")
_VARIABLE = re.compile(r"(__)?TURNREC_[A-Z_]{1,40}")
_SILENCE = "0/1000"
"""A tone of 0 Hz: PlayTones sends it as frames of zeros, from now on."""
_PUSHED_OUT_MS = 40
"""Two of MixMonitor's steps."""
NATIVE_FORMATS: Final = "CHANNEL(audionativeformat)"
"""As in `(ulaw|alaw)`."""
_READ_FORMAT: Final = "CHANNEL(audioreadformat)"
_RECEIVED: Final = "CHANNEL(rtcp,rxcount)"
_FORMAT: Final = re.compile(r"[a-z0-9]+")
_IN_WHOLE_STEPS: Final = {
    "ulaw",
    "alaw",
    "slin",
    "gsm",
    "g726",
    "g726aal2",
    "adpcm",
    "g729",
    "speex",
}
"""Codecs of 8 kHz in frames of 10 or 20 ms. What is resampled, or comes in frames of 30 ms, leaves
something over of MixMonitor's steps of 20 ms, and of a resampler's own."""
_VALUE = re.compile(r"[A-Za-z0-9_.:()/-]{0,200}")


class Channel(Protocol):
    """A path to one channel.

    Every method raises `UnansweredError` when the outcome isn't known, and
    `AsteriskUnreachableError` when nothing was sent at all (AMI is down).
    """

    @property
    def name(self) -> str:
        """The channel's name."""

    @property
    def uniqueid(self) -> str:
        """The channel's uniqueid."""

    @property
    def origin(self) -> str:
        """The path's name in the ledger: `agi` or `ami`."""

    @property
    def order(self) -> str:
        """By what Asterisk does these commands one after the other (`core.monitor.Start`)."""

    async def start_monitor(self, file: str, options: str) -> None:
        """Run MixMonitor. Its answer says nothing about the file."""

    async def stop_monitor(self, monitor_id: str) -> None:
        """Run StopMixMonitor. Its answer says nothing about the monitor."""

    async def monitor_files(self, *monitor_ids: str) -> tuple[str, ...]:
        """The file that each monitor writes; empty for one that isn't on the channel."""

    async def own_monitor(self) -> tuple[str, str]:
        """The ID in the channel's own variable, and the file that this monitor writes."""

    async def read(self, *names: str) -> dict[str, str]:
        """The channel's variables of these names; empty if unset."""

    async def publish(self, variables: Mapping[str, str]) -> None:
        """Set variables of ours on the channel."""

    async def pass_time(self, duration_ms: int, *, afresh: bool = False) -> None:
        """Let time pass for the channel's audio, not merely for us.

        With `afresh`, also drop what is left over of the past between the channel and a monitor to
        come, as far as that can be: where its audio is resampled on the way, 5 ms.
        """

    async def push_out(self, duration_ms: int) -> None:
        """Let time pass, and have what waits in the channel's monitors read, as far as that can be.

        MixMonitor reads in steps of 20 ms; what a prompt leaves over waits for the next one.
        """


def come_in_whole_steps(native_formats: str) -> bool:
    """Whether a channel's audio, by its native formats, comes in whole steps of MixMonitor's."""
    names = set(_FORMAT.findall(native_formats))
    return bool(names) and names <= _IN_WHOLE_STEPS


def check_monitor_id(monitor_id: str) -> str:
    """Return `monitor_id` if Asterisk could have printed it.

    An empty ID would stop the first monitor found, whosever it is; one that was never expanded
    (`${...}`) stops nothing and is answered with success.

    Raises:
        UnansweredError: it is anything but a pointer in hexadecimal.
    """
    if _MONITOR_ID.fullmatch(monitor_id) is None:
        raise UnansweredError("a MixMonitorID is missing or malformed; the command was not sent")
    return monitor_id


def check_variables(variables: Mapping[str, str]) -> Mapping[str, str]:
    """Return `variables` if each is one of ours and safe in any dialplan.

    Raises:
        ValueError: a name isn't ours, or a value holds a character that the dialplan reads.
    """
    for name, value in variables.items():
        if _VARIABLE.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no variable of turnrec's")
        if _VALUE.fullmatch(value) is None:
            raise ValueError(f"the value of {name} has characters that the dialplan would read")
    return variables


class AgiChannel:
    """The channel that an AGI session runs on. Needs no right in AMI."""

    origin = "agi"

    def __init__(self, session: AgiSession, tally: Tally | None = None) -> None:
        self._session = session
        self._tally = Tally() if tally is None else tally

    @property
    def name(self) -> str:
        """The channel's name."""
        return self._session.environment.channel

    @property
    def uniqueid(self) -> str:
        """The channel's uniqueid."""
        return self._session.environment.uniqueid

    @property
    def order(self) -> str:
        """The channel's dialplan: it runs no other AGI session before a command has ended."""
        return DIALPLAN

    async def start_monitor(self, file: str, options: str) -> None:
        """Run MixMonitor by EXEC. Whatever is answered: the look that follows decides."""
        self._tally.ours(self.uniqueid, Deed.START)
        await self._session.command("EXEC", "MixMonitor", f"{file},{options}")

    async def stop_monitor(self, monitor_id: str) -> None:
        """Run StopMixMonitor by EXEC, the ID sent literally: AGI expands no variables."""
        await self._session.command("EXEC", "StopMixMonitor", check_monitor_id(monitor_id))

    async def monitor_files(self, *monitor_ids: str) -> tuple[str, ...]:
        """The file that each monitor writes, in one question."""
        expressions = (f"${{MIXMONITOR({check_monitor_id(one)},filename)}}" for one in monitor_ids)
        return tuple((await self._expand("|".join(expressions))).split("|"))

    async def own_monitor(self) -> tuple[str, str]:
        """The ID in the channel's variable and its file, in one question."""
        variable = f"${{{ID_VARIABLE}}}"
        answer = await self._expand(f"{variable}|${{MIXMONITOR({variable},filename)}}")
        monitor_id, _, file = answer.partition("|")
        return monitor_id, file

    async def read(self, *names: str) -> dict[str, str]:
        """The channel's variables, in one question."""
        answer = await self._expand("|".join(f"${{{name}}}" for name in names))
        values = answer.split("|") if len(names) > 1 else [answer]
        if len(values) != len(names):
            raise UnansweredError("AGI: a variable of turnrec's was changed by somebody else")
        return dict(zip(names, values, strict=True))

    async def publish(self, variables: Mapping[str, str]) -> None:
        """Set all variables by one MSet: a round trip each would be a turn's largest cost."""
        pairs = check_variables(variables).items()
        await self._session.execute("MSet", ",".join(f"{name}={value}" for name, value in pairs))

    async def pass_time(self, duration_ms: int, *, afresh: bool = False) -> None:
        """Wait inside Asterisk: if it is frozen, its wait is frozen with it.

        Dial leaves a channel of G.722 with another read format, and a monitor gets what comes out
        of that translation. Its resampler keeps 5 ms, for as long as nothing comes after them: a
        caller who sends nothing in his pauses (DTX) had them in the next turn. WaitForSilence sets
        the format for a moment, and so has the translation made anew; where no audio comes it is
        over at once (1.5 ms were measured).
        """
        resampled = afresh and await self._is_resampled()
        before = await self.read(_RECEIVED) if resampled else {}
        if duration_ms > 0:
            await self._session.execute("Wait", f"{duration_ms / 1000:.3f}")
        if resampled and await self.read(_RECEIVED) == before:
            await self._session.command("EXEC", "WaitForSilence", "1,1,1")

    async def _is_resampled(self) -> bool:
        # One by one: what separates several values separates a channel's formats, too.
        native = (await self.read(NATIVE_FORMATS))[NATIVE_FORMATS]
        if come_in_whole_steps(native):
            return False
        return (await self.read(_READ_FORMAT))[_READ_FORMAT] not in _FORMAT.findall(native)

    async def push_out(self, duration_ms: int) -> None:
        """Play silence meanwhile: what is left over is then read along with it."""
        await self._session.execute("PlayTones", _SILENCE)
        try:
            await self.pass_time(max(duration_ms, _PUSHED_OUT_MS))
        finally:
            await self._session.execute("StopPlayTones")

    async def _expand(self, expression: str) -> str:
        try:
            return await self._session.expand(expression)
        except AgiArgumentError as error:
            raise UnansweredError(str(error)) from error


class AmiChannel:
    """A channel reached by name over AMI: for what comes from outside its AGI session.

    A masquerade gives a channel another name, AMI may be down when it does, and a pause that finds
    no such channel stops nothing. So that answer is asked about by the uniqueid. Not every command
    is: for that Asterisk goes through all channels, and locks each.
    """

    origin = "ami"

    def __init__(
        self, client: AmiClient, name: str, uniqueid: str, tally: Tally | None = None
    ) -> None:
        self._client = client
        self._tally = Tally() if tally is None else tally
        # A caller can spoil an event's name. Without any, Getvar would read a global variable.
        self.name = name or uniqueid
        self.uniqueid = uniqueid

    @property
    def order(self) -> str:
        """The session: a thread of Asterisk's that does one action after the other."""
        return f"ami {self._client.sessions}"

    async def start_monitor(self, file: str, options: str) -> None:
        """Run the action MixMonitor. Its third field, a shell command, is never sent."""
        self._tally.ours(self.uniqueid, Deed.START)
        try:
            await self._action("MixMonitor", File=file, Options=options)
        except AmiRefusedError:
            self._tally.undone(self.uniqueid, Deed.START)
            raise

    async def stop_monitor(self, monitor_id: str) -> None:
        """Run the action StopMixMonitor. A refusal (gone already) is left to the look."""
        check_monitor_id(monitor_id)
        try:
            await self._action("StopMixMonitor", MixMonitorID=monitor_id)
        except AmiRefusedError:
            return

    async def monitor_files(self, *monitor_ids: str) -> tuple[str, ...]:
        """The file that each monitor writes, one question each."""
        names = [f"MIXMONITOR({check_monitor_id(one)},filename)" for one in monitor_ids]
        return tuple([await self._get(name) for name in names])

    async def own_monitor(self) -> tuple[str, str]:
        """The ID in the channel's variable, then its file."""
        monitor_id = await self._get(ID_VARIABLE)
        if not monitor_id:
            return "", ""
        (file,) = await self.monitor_files(monitor_id)
        return monitor_id, file

    async def read(self, *names: str) -> dict[str, str]:
        """The channel's variables, one question each."""
        return {name: await self._get(name) for name in names}

    async def publish(self, variables: Mapping[str, str]) -> None:
        """Set the variables, one action each."""
        for name, value in check_variables(variables).items():
            await self._action("Setvar", Variable=name, Value=value)

    async def pass_time(self, duration_ms: int, *, afresh: bool = False) -> None:
        """Wait, but not before Asterisk has answered a ping: a frozen one must thaw first.

        AMI can run nothing on a channel: `afresh` is not for it.

        Without the ping, 300 ms of the paused turn leaked after a freeze (asterisk-facts.md).

        Raises:
            AsteriskUnreachableError: it was not answered; what was to follow hasn't been sent.
        """
        del afresh
        if duration_ms > 0:
            try:
                await self._client_action("Ping")
            except UnansweredError as error:
                raise AsteriskUnreachableError(str(error)) from error
            await asyncio.sleep(duration_ms / 1000)

    async def push_out(self, duration_ms: int) -> None:
        """Let time pass: AMI can't play anything on a channel that is in somebody's hands."""
        await self.pass_time(duration_ms)

    async def mute(self, monitor_id: str | None, *, muted: bool) -> None:
        """Mute or unmute both directions; without an ID, the channel's first MixMonitor.

        Raises:
            AmiRefusedError: Asterisk knows no such monitor on the channel.
        """
        fields = {"Direction": "both", "State": "1" if muted else "0"}
        if monitor_id is not None:
            fields["MixMonitorID"] = check_monitor_id(monitor_id)
        self._tally.ours(self.uniqueid, Deed.MUTE)
        try:
            await self._action("MixMonitorMute", **fields)
        except AmiRefusedError:
            self._tally.undone(self.uniqueid, Deed.MUTE)
            raise

    async def stop_first_monitor(self) -> bool:
        """Stop the channel's first MixMonitor, whosever it is; False where there is none.

        Only where ours isn't on the channel: a command without an ID takes whichever it finds.
        """
        try:
            await self._action("StopMixMonitor")
        except AmiRefusedError:
            return False
        return True

    async def _get(self, variable: str) -> str:
        try:
            response = await self._on_channel("Getvar", Variable=variable)
        except AmiRefusedError:
            return ""
        return response.get("Value") or ""

    async def _action(self, action: str, **fields: str) -> None:
        await self._on_channel(action, **fields)

    async def _on_channel(self, action: str, **fields: str) -> AmiResponse:
        try:
            return await self._client_action(action, Channel=self.name, **fields)
        except AmiRefusedError as error:
            if _NO_CHANNEL not in str(error).lower() or not await self._has_another_name():
                raise
        return await self._client_action(action, Channel=self.name, **fields)

    async def _has_another_name(self) -> bool:
        """Ask by the uniqueid, by which Asterisk finds a channel where it has none of that name."""
        if self.uniqueid in ("", self.name):
            return False
        asked = {"Channel": self.uniqueid, "Variable": "CHANNEL(name)"}
        try:
            name = (await self._client_action("Getvar", **asked)).get("Value") or ""
        except AmiRefusedError:
            return False
        before, self.name = self.name, name or self.name
        return self.name != before

    async def _client_action(self, action: str, **fields: str) -> AmiResponse:
        try:
            return await self._client.action(action, fields)
        except AmiRefusedError:
            raise
        except AmiError as error:
            if error.outcome_unknown:
                raise UnansweredError(f"AMI {action}: {error}") from error
            raise AsteriskUnreachableError(f"AMI {action}: {error}") from error
