"""Checks folders and files: whose they are, who may read them, and whether both sides see them."""

from __future__ import annotations

import os
import secrets
import stat
import wave
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from turnrec.doctor.finding import Finding, NotCheckedError, listed, ok, problem, warning
from turnrec.doctor.look import Look
from turnrec.room import free_bytes

_OTHERS: Final = 0o007
_ANYBODY: Final = 0o077
_MB: Final = 1_000_000
_ROOT: Final = 0
"""Asks for somebody else, as check `user` says."""
_CONVERT: Final = "res_convert"


async def secrets_private(look: Look) -> Finding:
    """Nobody else reads the settings, which may hold AMI's secret, or the secret's own file."""
    settings = look.settings
    of_url = "@" in settings.ledger.url.get_secret_value()
    is_in_file = settings.asterisk.ami_secret_file is None or of_url
    paths = [
        *([look.config] if look.config is not None and is_in_file else []),
        *([settings.asterisk.ami_secret_file] if settings.asterisk.ami_secret_file else []),
    ]
    return _private(paths, _OTHERS, "640", "the secret of Asterisk's manager")


async def keys_private(look: Look) -> Finding:
    """Nobody else reads the API keys' hashes and the webhooks' secrets."""
    file = look.settings.api.keys_file
    return _private([file, file.parent / "webhooks.db"], _ANYBODY, "600", "keys of the API")


async def signing_key(look: Look) -> Finding:
    """Nobody else signs the ledger."""
    file = look.settings.ledger.signing_key_file
    if file is None:
        return ok("the ledger is not signed ([ledger] signing_key_file)")
    if not file.exists():
        return problem(
            f"{file}, which is to sign the ledger, isn't there", f"turnrec key new {file}"
        )
    return _private([file], _ANYBODY, "600", "the ledger's signing key")


def _private(paths: Iterable[Path], bits: int, mode: str, what: str) -> Finding:
    there = [path for path in paths if path.exists()]
    open_ones = [path for path in there if stat.S_IMODE(path.stat().st_mode) & bits]
    if open_ones:
        who = "everybody on this machine" if bits == _OTHERS else "others than turnrec"
        return problem(
            f"{who} may read or write {listed([str(path) for path in open_ones])}: {what}",
            *(f"chmod {mode} {path}" for path in open_ones),
        )
    names = listed([str(path) for path in there])
    return ok(f"only who should reads {names}" if there else f"no file holds {what} yet")


async def recordings(look: Look) -> Finding:
    """turnrec may write the joined files."""
    folder = look.settings.recordings.dir
    if not folder.exists():
        return _missing(folder, "0750")
    return _usable(folder, "0750")


async def recordings_private(look: Look) -> Finding:
    """The joined files are turnrec's alone, and its group's to read."""
    folder = look.settings.recordings.dir
    status = _stat(folder)
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != look.user() and look.user() != _ROOT:
        return problem(
            f"{folder} belongs to user {status.st_uid}, who may change and delete the recordings",
            f"chown turnrec {folder}",
        )
    if mode & _OTHERS:
        return problem(
            f"everybody on this machine may look into {folder}, where the recordings are",
            f"chmod 0750 {folder}",
        )
    if mode & stat.S_IWGRP:
        return problem(
            f"a group may write into {folder}, where the recordings are", f"chmod 0750 {folder}"
        )
    return ok(f"{folder} is turnrec's alone, and its group's to read")


async def spool(look: Look) -> Finding:
    """turnrec may take up and delete the parts."""
    folder = look.settings.recordings.spool_dir
    if not folder.exists():
        return _missing(folder, "2770")
    return _usable(folder, "2770")


async def spool_private(look: Look) -> Finding:
    """Nobody but Asterisk and turnrec sees the parts."""
    folder = look.settings.recordings.spool_dir
    if stat.S_IMODE(_stat(folder).st_mode) & _OTHERS:
        return problem(
            f"everybody on this machine may look into {folder}, where the parts of recordings are",
            f"chmod o-rwx {folder}",
        )
    return ok(f"{folder} is not open to everybody")


def _stat(folder: Path) -> os.stat_result:
    try:
        return folder.stat()
    except FileNotFoundError:
        raise NotCheckedError(f"{folder} isn't there") from None


def _missing(folder: Path, mode: str) -> Finding:
    above = next((one for one in folder.parents if one.exists()), Path("/"))
    if os.access(above, os.W_OK | os.X_OK):
        return ok(f"{folder} isn't there yet: the first start makes it")
    return problem(
        f"{folder} isn't there, and turnrec may not make it", f"install -d -m {mode} {folder}"
    )


def _usable(folder: Path, mode: str) -> Finding:
    if not folder.is_dir():
        return problem(f"{folder} is no folder", f"rm {folder}", f"install -d -m {mode} {folder}")
    lacking = [
        word
        for word, bit in (("read", os.R_OK), ("write", os.W_OK), ("enter", os.X_OK))
        if not os.access(folder, bit)
    ]
    if lacking:
        return problem(
            f"turnrec may not {', '.join(lacking)} {folder}",
            f"chown :turnrec {folder}",
            f"chmod {mode} {folder}",
        )
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return problem(
            f"{folder} is on a disk that can only be read", f"mount -o remount,rw {folder}"
        )
    return ok(f"turnrec may read and write {folder}")


async def room(look: Look) -> Finding:
    """There is room for recordings."""
    settings = look.settings.recordings
    least_mb = settings.min_free_mb
    lacking, free_mb = [], []
    for folder in dict.fromkeys((settings.dir, settings.spool_dir)):
        if not folder.exists():
            continue
        free_mb.append(free_bytes(folder) // _MB)
        if free_mb[-1] < least_mb:
            lacking.append(f"{free_mb[-1]} MB are free in {folder}")
    if lacking:
        return problem(
            f"nothing new is recorded: {listed(lacking)}, recordings begin from {least_mb} MB on",
            "make room: keep_days in the flow file, or turnrec delete",
            f"or in turnrec.toml: [recordings] min_free_mb below {least_mb}",
        )
    if not free_mb:
        raise NotCheckedError("neither folder is there yet")
    watched = "" if least_mb else "; nobody watches it (min_free_mb = 0)"
    return ok(f"{min(free_mb)} MB are free for recordings{watched}")


# ------------------------------------------------------------------ one spool, two names


async def shared(look: Look) -> Finding:
    """Asterisk writes where turnrec looks: tried with a file of 20 ms of silence.

    Asterisk's `file convert` reads turnrec's file and writes another beside it; where it sees
    another folder, it finds nothing to read and writes nothing.
    """
    settings = look.settings.recordings
    mine, theirs = settings.spool_dir, settings.asterisk_spool_dir
    _stat(mine)
    usage = await look.rx(f"module show like {_CONVERT}.so")
    if f"{_CONVERT}.so" not in usage:
        raise NotCheckedError(
            f"it takes Asterisk's {_CONVERT}: asterisk -rx 'module load {_CONVERT}.so', then again"
        )
    name = f".doctor-{secrets.token_hex(8)}"
    sent, came = mine / f"{name}-a.wav", mine / f"{name}-b.wav"
    try:
        _write_silence(sent)
        said = await look.own_rx(
            f'file convert "{theirs / sent.name}" "{theirs / came.name}"',
        )
        return _judge_shared(look, said, came)
    except OSError as error:
        return problem(f"turnrec can't write into {mine} ({error.strerror})", f"chmod 2770 {mine}")
    finally:
        for path in (sent, came):
            path.unlink(missing_ok=True)


def _judge_shared(look: Look, said: str, came: Path) -> Finding:
    settings = look.settings.recordings
    mine, theirs = settings.spool_dir, settings.asterisk_spool_dir
    names = str(mine) if mine == theirs else f"{mine}, for Asterisk {theirs},"
    setting = "in turnrec.toml: [recordings] asterisk_spool_dir: the spool as Asterisk sees it"
    rights = f"install -d -o asterisk -g turnrec -m 2770 {mine}"
    if "Unable to open input file" in said:
        return problem(
            f"Asterisk doesn't see what turnrec sees in {names}: it is another folder there, or it"
            " may not enter it",
            setting,
            f"or: {rights}",
        )
    if "Unable to open output file" in said:
        return problem(f"Asterisk may not write into {names}: nothing is recorded", rights)
    if "Converted" not in said:
        raise NotCheckedError("Asterisk's answer to `file convert` isn't known")
    try:
        size_bytes = len(came.read_bytes())
    except FileNotFoundError:
        return problem(f"what Asterisk writes into {theirs} isn't in {mine}", setting)
    except PermissionError:
        return problem(
            f"turnrec may not read what Asterisk writes into {names}",
            rights,
            "and Asterisk's unit: UMask=0007",
        )
    if not size_bytes:
        return warning(f"what Asterisk writes into {names} is empty", f"df {mine}")
    return ok(f"Asterisk writes into {names} and turnrec reads and deletes it: tried")


def _write_silence(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.fchmod(descriptor, 0o644)  # whatever the umask: Asterisk is another user
    with os.fdopen(descriptor, "wb") as raw, wave.open(raw, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(320))
