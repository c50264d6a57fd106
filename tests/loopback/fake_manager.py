"""Lets a FakeAmi act on a FakeChannel, as one Asterisk's manager and AGI act on one channel."""

from __future__ import annotations

from collections.abc import Callable

from tests.loopback.fake_ami import FakeAction, FakeAmi
from tests.loopback.fake_asterisk import FakeChannel


def speaks_for(peer: FakeAmi, channel: FakeChannel) -> None:
    """Answer MixMonitor's actions, Getvar and Setvar out of the channel."""

    def start(action: FakeAction) -> None:
        channel.run("MixMonitor", f"{action.get('File')},{action.get('Options')}")
        action.answer("Success")

    def stop(action: FakeAction) -> None:
        monitor_id = action.get("MixMonitorID") or ""
        if not any(monitor_id in {"", one.id} for one in channel.running):
            action.answer("Error", Message="Could not stop monitoring channel")
            return
        channel.run("StopMixMonitor", monitor_id)
        action.answer("Success")

    def mute(action: FakeAction) -> None:
        named = [one for one in channel.running if one.id == action.get("MixMonitorID")]
        if action.get("MixMonitorID") is not None and not named:
            action.answer("Error", Message="No MixMonitor found")
            return
        for monitor in named or channel.running[:1]:
            monitor.muted = action.get("State") == "1"
        action.answer("Success")

    def getvar(action: FakeAction) -> None:
        name = action.get("Variable") or ""
        action.answer("Success", Variable=name, Value=channel.value_of(name))

    def setvar(action: FakeAction) -> None:
        channel.variables[action.get("Variable") or ""] = action.get("Value") or ""
        action.answer("Success")

    def found(do: Callable[[FakeAction], None]) -> Callable[[FakeAction], None]:
        """Do it, if it is asked of this channel: by its name now, or its uniqueid."""

        def answer(action: FakeAction) -> None:
            if action.get("Channel") in (channel.name, channel.uniqueid):
                do(action)
            else:
                action.answer("Error", Message="No such channel")

        return answer

    peer.on("MixMonitor", found(start))
    peer.on("StopMixMonitor", found(stop))
    peer.on("MixMonitorMute", found(mute))
    peer.on("Getvar", found(getvar))
    peer.on("Setvar", found(setvar))
