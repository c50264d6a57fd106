"""What can go wrong with the test PBX, each message with its cure; nothing is caught here.

PbxError
 +-- PbxInstallError      no Asterisk could be had
 +-- PbxStartError        it is there, but doesn't come up
 +-- PbxCommandError      it is up, but a CLI command got no answer
 +-- PbxNotRunningError   the run folder's Asterisk is gone
"""

from pathlib import Path


class PbxError(Exception):
    """Base of all errors of the test PBX."""


class PbxInstallError(PbxError):
    """No Asterisk of the wanted release could be had."""


class PbxStartError(PbxError):
    """Asterisk did not come up; the message carries the end of its log."""


class PbxCommandError(PbxError):
    """A command of the Asterisk CLI failed or got no answer in time."""

    def __init__(self, command: str, why: str) -> None:
        super().__init__(f"asterisk -rx {command!r}: {why}")
        self.command = command


class PbxNotRunningError(PbxError):
    """No living Asterisk belongs to this run folder."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__(f"no test PBX runs from {run_dir}: start one, or name its run folder")
        self.run_dir = run_dir
