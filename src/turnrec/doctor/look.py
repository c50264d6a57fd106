"""Gets what the checks judge, each thing once: settings, Asterisk's answers, the server's, sockets.

It judges nothing and changes nothing. What can't be had is a NotCheckedError that says why; it is
kept, so that a silent Asterisk is waited for once.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import Callable, Coroutine, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from turnrec.asterisk.ami import AmiClient, AmiError, AmiRefusedError, AmiSettings
from turnrec.asterisk.console import Console, ConsoleError
from turnrec.config import ConfigError
from turnrec.core.policy import Flow
from turnrec.doctor.answers import Section, Step, plan_of, privileges, sections
from turnrec.doctor.finding import NotCheckedError
from turnrec.flow import FlowError, FlowFile
from turnrec.pbx.configuration import templates_dir
from turnrec.pbx.process import parse_endpoint
from turnrec.settings import Settings
from turnrec.web.client import ControlClient, ServerRefusedError, ServerUnreachableError

P = ParamSpec("P")
T = TypeVar("T")

_LOGIN_MS: Final = 6_000
_ACTION_MS: Final = 5_000
_PLAN_MS: Final = 20_000
_SERVER_S: Final = 5.0
_TCP_LISTEN: Final = "0A"


def _once(
    get: Callable[Concatenate[Look, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Look, P], Coroutine[Any, Any, T]]:
    """Have a question asked once, and its answer kept, errors too."""

    async def kept(self: Look, /, *args: P.args, **options: P.kwargs) -> T:
        key = (get.__name__, args)
        if key not in self._kept:
            self._kept[key] = asyncio.ensure_future(get(self, *args, **options))
        answer: T = await self._kept[key]
        return answer

    return kept


class Look:
    """One look at one installation."""

    def __init__(
        self,
        load: Callable[[], Settings],
        config: Path | None,
        asterisk: str = "asterisk",
        *,
        is_asterisk_named: bool = False,
    ) -> None:
        """`load` reads the settings, of which `config` is the file, if there is one.

        `asterisk` is Asterisk's own command; where somebody named it, it has to work.
        """
        self.config = config
        self.asterisk = asterisk
        self.is_asterisk_named = is_asterisk_named
        self.mistakes: tuple[str, ...] = ()
        self._kept: dict[Any, asyncio.Future[Any]] = {}
        self._client: AmiClient | None = None
        self._settings: Settings | None = None
        try:
            self._settings = load()
        except ConfigError as error:
            self.mistakes = tuple(map(str, error.mistakes))

    async def close(self) -> None:
        """Log out."""
        for future in self._kept.values():
            if future.done() and not future.cancelled():
                future.exception()  # it has been told, or nobody had asked
        if self._client is not None:
            await self._client.close()

    # ------------------------------------------------------------ settings

    @property
    def settings(self) -> Settings:
        """The settings."""
        if self._settings is None:
            raise NotCheckedError("the settings can't be read")
        return self._settings

    def flow(self) -> Flow:
        """The flow, as its file says now."""
        try:
            return FlowFile.load(self.settings.flow.path).flow
        except FlowError:
            raise NotCheckedError("the flow file can't be read") from None

    def now_s(self) -> float:
        """The time by turnrec's clock."""
        return time.time()

    def shipped_plan(self) -> tuple[Step, ...]:
        """The dialplan of this turnrec."""
        return plan_of(self.shipped("turnrec.conf").read_text("utf-8"))

    def shipped(self, name: str) -> Path:
        """A file for Asterisk that came with this turnrec."""
        return templates_dir() / name

    # ------------------------------------------------------------ AMI

    @_once
    async def ami(self) -> AmiClient:
        """A session with turnrec's own account; the one attempt is told of by check `ami-login`.

        Raises:
            AmiError: there is none.
        """
        asterisk = self.settings.asterisk
        if not asterisk.ami_enabled or asterisk.ami_secret is None:
            raise NotCheckedError("AMI is not used ([asterisk] ami_enabled = false)")
        self._client = AmiClient(
            AmiSettings(
                host=asterisk.ami_host,
                port=asterisk.ami_port,
                username=asterisk.ami_username,
                secret=asterisk.ami_secret.get_secret_value(),
                action_timeout_ms=_ACTION_MS,
                event_classes=("system",),
                # One attempt: more of them are lines in Asterisk's security log.
                reconnect_min_ms=60_000,
                reconnect_max_ms=60_000,
            )
        )
        await self._client.start()
        while not self._client.ready and self._client.last_error is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if self._client.last_error is not None:
            raise self._client.last_error
        return self._client

    async def _session(self) -> AmiClient:
        try:
            return await self.ami()
        except AmiError:
            raise NotCheckedError("Asterisk can't be asked by AMI (see ami-login)") from None

    @_once
    async def core(self) -> Mapping[str, str]:
        """`CoreSettings`."""
        return dict((await self._ask("CoreSettings")).fields)

    @_once
    async def actions(self) -> Mapping[str, frozenset[str]]:
        """The actions that the account may use, each with the classes that allow it."""
        return privileges((await self._ask("ListCommands")).fields)

    @_once
    async def config_file(self, name: str, category: str = "") -> tuple[Section, ...]:
        """One of Asterisk's files, or one section of it, as it would be read now.

        Nobody else's section is asked for where one is named: it would come with its secret.
        """
        fields = {"Filename": name, **({"Category": category} if category else {})}
        client = await self._session()
        try:
            return sections((await client.action("GetConfig", fields)).fields)
        except AmiRefusedError as error:
            if "not found" in error.response.message.lower():
                return ()
            raise _refused(error) from None

    @_once
    async def steps(self) -> tuple[Step, ...]:
        """The whole dialplan that Asterisk has loaded."""
        client = await self._session()
        try:
            rows = await client.action_list(
                "ShowDialPlan", complete_event="ShowDialPlanComplete", timeout_ms=_PLAN_MS
            )
        except AmiRefusedError as error:
            raise _refused(error) from None
        names = ("Context", "Extension", "Priority", "Application", "AppData")
        return tuple(
            Step(*(row.get(name) or "" for name in names))
            for row in rows
            if row.get("Application") is not None
        )

    @_once
    async def value(self, expression: str) -> str:
        """What a global variable or a function of the dialplan says, without a channel."""
        return (await self._ask("Getvar", Variable=expression)).get("Value") or ""

    @_once
    async def has_module(self, name: str) -> bool:
        """Whether Asterisk runs a module."""
        client = await self._session()
        try:
            await client.action("ModuleCheck", Module=name)
        except AmiRefusedError as error:
            if "not loaded" in error.response.message.lower():
                return False
            raise _refused(error) from None
        return True

    @_once
    async def asterisk_ahead_s(self) -> tuple[float, float]:
        """How far Asterisk's clock is ahead of ours, and how far off that may be."""
        await self._session()
        before_s = self.now_s()
        stamp = (await self._ask("Ping")).get("Timestamp")
        after_s = self.now_s()
        if stamp is None:
            raise NotCheckedError("Asterisk's answer to Ping has no time")
        return float(stamp) - (before_s + after_s) / 2, (after_s - before_s) / 2

    async def _ask(self, action: str, **fields: str) -> Any:
        client = await self._session()
        try:
            return await client.action(action, fields)
        except AmiRefusedError as error:
            raise _refused(error) from None

    # ------------------------------------------------------------ Asterisk's command

    async def rx(self, command: str) -> str:
        """What Asterisk's own command prints."""
        try:
            return await Console(self.asterisk).run(command)
        except ConsoleError as error:
            raise NotCheckedError(f"`{self.asterisk} -rx` can't be run: {error}") from None

    @_once
    async def own_rx(self, command: str) -> str:
        """The same, where the command is known to lead to the Asterisk that AMI leads to."""
        text = await self.rx(command)
        if not await self.is_same_asterisk():
            raise NotCheckedError(f"`{self.asterisk} -rx` leads to another Asterisk than AMI")
        return text

    @_once
    async def is_same_asterisk(self) -> bool:
        """Whether AMI and the command lead to one Asterisk: both say when it was started."""
        printed = await self.rx("core show settings")
        try:
            core = dict((await self._ask("CoreStatus")).fields)
        except NotCheckedError:
            return True  # nobody else is known
        return f"Startup time: {core.get('CoreStartupTime', '')}" in " ".join(printed.split())

    # ------------------------------------------------------------ the server

    @_once
    async def server(self) -> Mapping[str, Any]:
        """How the running turnrec says that it is."""
        client = ControlClient(self.settings.server.control_socket, timeout_s=_SERVER_S)
        try:
            found: Mapping[str, Any] = await asyncio.to_thread(client.get, "/v1/status")
        except (ServerUnreachableError, ServerRefusedError) as error:
            raise NotCheckedError("no turnrec answers (see server)") from error
        return found

    def server_process(self) -> tuple[int, int]:
        """The process and the user behind the control socket.

        Raises:
            OSError: there is none.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
            door.settimeout(_SERVER_S)
            door.connect(str(self.settings.server.control_socket))
            told = door.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, uid, _ = struct.unpack("3i", told)
        return int(pid), int(uid)

    # ------------------------------------------------------------ this machine

    def user(self) -> int:
        """Who asks."""
        return os.geteuid()

    def listening_on(self, port: int) -> frozenset[str]:
        """The addresses of this machine on which anybody listens at a TCP port."""
        found = set()
        for name in ("tcp", "tcp6"):
            path = Path("/proc/net", name)
            for line in path.read_text("ascii").splitlines()[1:] if path.exists() else ():
                _, local, _, state, *_ = line.split()
                address, its_port = parse_endpoint(local)
                if state == _TCP_LISTEN and its_port == port:
                    found.add(address)
        return frozenset(found)

    @property
    def is_asterisk_here(self) -> bool:
        """Whether AMI is asked on this machine."""
        return is_loopback(self.settings.asterisk.ami_host)


def is_loopback(host: str) -> bool:
    """Whether a host names the machine that says it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_everywhere(address: str) -> bool:
    """Whether who listens there takes whoever reaches the machine."""
    try:
        return ip_address(address).is_unspecified
    except ValueError:
        return address in ("", "*")


def _refused(error: AmiRefusedError) -> NotCheckedError:
    reason = error.response.message or "no reason given"
    return NotCheckedError(f"Asterisk refuses {error.action} to turnrec's account ({reason})")
