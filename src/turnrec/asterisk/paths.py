"""The ways in to a channel, as the main path needs them: a channel plus the drivers for it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from turnrec.asterisk.agi import AgiSession
from turnrec.asterisk.ami import AmiClient
from turnrec.asterisk.channel import AgiChannel, AmiChannel, Channel
from turnrec.asterisk.mixmonitor import Clock, MuteDriver, SegmentDriver
from turnrec.asterisk.spool import Spool
from turnrec.asterisk.tally import Deed, Tally
from turnrec.core.errors import UnknownChannelError
from turnrec.core.policy import PauseMethod

_VERSION = re.compile(r"(\d+)\.(\d+)")
_MUTES_BY_ID_FROM = {18: 18, 20: 3}
"""MixMonitorMute knows MixMonitorID from 18.18, 20.3 and 21.0 on (asterisk-facts.md)."""


def mutes_by_id(version: str) -> bool:
    """Whether this Asterisk's MixMonitorMute honours MixMonitorID.

    One that doesn't mutes the channel's first MixMonitor, and says Success.
    """
    found = _VERSION.search(version)
    if found is None:
        return False
    major, minor = int(found[1]), int(found[2])
    if major >= 21:
        return True
    return major in _MUTES_BY_ID_FROM and minor >= _MUTES_BY_ID_FROM[major]


class Ways:
    """Makes paths and drivers: holds what they share."""

    def __init__(self, spool: Spool, clock: Clock, ami: AmiClient) -> None:
        self.spool = spool
        self.clock = clock
        self.ami = ami
        self.tally = Tally()
        self.asterisk_version = ""
        """As AMI's CoreSettings says; empty until it has."""

    def by_agi(self, session: AgiSession) -> AgiPath:
        """The way through the channel's own AGI session."""
        return AgiPath(self, session)

    def by_ami(self, channel: str, uniqueid: str) -> AmiPath:
        """The way by the channel's name over AMI."""
        return AmiPath(self, channel, uniqueid)

    async def named(self, uniqueid: str) -> AmiPath:
        """The way to a channel of which only the uniqueid is known.

        Raises:
            UnknownChannelError: Asterisk has no such channel.
            UnansweredError, AsteriskUnreachableError: it didn't say.
        """
        # Asterisk finds a channel by its uniqueid where it has none by this name.
        asked = ("CHANNEL(name)", "CHANNEL(uniqueid)")
        found = await self.channel(uniqueid, uniqueid).read(*asked)
        if found["CHANNEL(uniqueid)"] != uniqueid or not found["CHANNEL(name)"]:
            raise UnknownChannelError
        return self.by_ami(found["CHANNEL(name)"], uniqueid)

    def _would_mute_another(self, channel: Channel) -> bool:
        """Whether a mute may hit somebody else's monitor: older ones mute the first one only."""
        return not self.mutes_by_id and self.tally.foreign(channel.uniqueid, Deed.START) > 0

    @property
    def mutes_by_id(self) -> bool:
        """Whether this Asterisk mutes a MixMonitor by its ID, and all of them without one."""
        return mutes_by_id(self.asterisk_version)

    def channel(self, name: str, uniqueid: str) -> AmiChannel:
        """Any channel, by AMI."""
        return AmiChannel(self.ami, name, uniqueid, self.tally)

    def driver(self, channel: Channel, method: PauseMethod) -> SegmentDriver | MuteDriver:
        """The driver of a pause method on a channel."""
        segments = SegmentDriver(channel, self.spool, self.clock)
        if method is PauseMethod.SEGMENT or self._would_mute_another(channel):
            return segments
        return MuteDriver(
            channel,
            AmiChannel(self.ami, channel.name, channel.uniqueid, self.tally),
            by_id=self.mutes_by_id,
            segments=segments,
            clock=self.clock,
        )


class _Way:
    """What the two paths have in common."""

    def __init__(self, ways: Ways, channel: Channel) -> None:
        self._ways = ways
        self._channel = channel

    @property
    def name(self) -> str:
        """The channel's name."""
        return self._channel.name

    @property
    def uniqueid(self) -> str:
        """The channel's uniqueid."""
        return self._channel.uniqueid

    def driver(self, method: PauseMethod) -> SegmentDriver | MuteDriver:
        """The driver for a pause method."""
        return self._ways.driver(self._channel, method)

    async def read(self, *names: str) -> dict[str, str]:
        """The channel's variables; empty if unset."""
        return await self._channel.read(*names)

    async def publish(self, variables: Mapping[str, str]) -> None:
        """Set variables of ours on the channel."""
        await self._channel.publish(variables)


class AgiPath(_Way):
    """A channel by its own AGI session: its dialplan waits for the answer."""

    is_dialplan = True

    def __init__(self, ways: Ways, session: AgiSession) -> None:
        super().__init__(ways, AgiChannel(session, ways.tally))
        self.session = session


class AmiPath(_Way):
    """A channel by AMI: nobody on the channel waits."""

    is_dialplan = False

    def __init__(self, ways: Ways, channel: str, uniqueid: str) -> None:
        super().__init__(ways, AmiChannel(ways.ami, channel, uniqueid, ways.tally))
