"""The table of all checks: what `turnrec doctor` does, and what docs/doctor.md says of it."""

from __future__ import annotations

from typing import Final

from turnrec.doctor import (
    asterisk,
    configuration,
    files,
    manager,
    network,
    plan,
    server,
    times,
)
from turnrec.doctor.finding import Area, Check

_S, _V, _A, _D, _F, _C, _N = Area

CHECKS: Final = (
    Check(
        "settings", _S, "The settings can be read and have no mistake.",
        "Mend what is named; without settings nothing else is checked.", configuration.settings,
    ),
    Check(
        "flow", _S, "The flow file can be read and has no mistake.",
        "Mend the line and column that are named, then `turnrec reload`.", configuration.flow,
    ),
    Check(
        "flow-paths", _S, "On every path of the flow is recorded what its words ask for.",
        "`turnrec check FLOW` shows each finding with its path and cure.",
        configuration.flow_paths,
    ),
    Check(
        "user", _S, "The doctor is asked by turnrec's own user.",
        "`sudo -u turnrec turnrec doctor`: another user sees other rights.", configuration.user,
    ),
    Check(
        "server", _V, "A turnrec runs, and answers.", "`systemctl start turnrec`.", server.running,
    ),
    Check(
        "server-version", _V, "The running turnrec is the installed one.",
        "`systemctl restart turnrec` after an upgrade.", server.version,
    ),
    Check(
        "server-parts", _V, "The running turnrec has AMI, its ledger, and room.",
        "What the check says; then `systemctl restart turnrec`.", server.parts,
    ),
    Check(
        "server-flow", _V, "The flow in force is the file's.", "`turnrec reload`.", server.flow,
    ),
    Check(
        "watchdog", _V, "Somebody restarts turnrec when it hangs.",
        "`Type=notify` and `WatchdogSec=5` in the unit, or `serve --watchdog-s 5`.",
        server.watchdog,
    ),
    Check(
        "ami-login", _A, "turnrec can log in to Asterisk's manager.",
        "One secret on both sides, and manager.conf that listens and permits; `manager reload`.",
        manager.login,
    ),
    Check(
        "ami-rights", _A, "The account has all rights that turnrec needs.",
        "`read = system,call,agent` and `write = system,call,reporting`.", manager.rights,
    ),
    Check(
        "ami-rights-excess", _A, "The account has no other rights.",
        "Take away `command`, `originate`, `config`, `all` and what else is named.",
        manager.excess,
    ),
    Check(
        "ami-events", _A, "The account's event filter lets through what turnrec listens to.",
        "The `eventfilter` lines of turnrec-manager.conf.", manager.events,
    ),
    Check(
        "ami-sessions", _A, "Nobody else is logged in with turnrec's account.",
        "End the other turnrec, or give each its own account.", manager.sessions,
    ),
    Check(
        "asterisk-command", _A, "`asterisk -rx` can be run, and leads to the Asterisk of AMI.",
        "The right to Asterisk's control socket, or `--asterisk`; `turnrec panic` needs it, too.",
        asterisk.command,
    ),
    Check(
        "asterisk-version", _A, "Asterisk is one that turnrec knows: 16 or later.",
        "Upgrade Asterisk.", asterisk.version,
    ),
    Check(
        "version-limits", _A, "The flow asks for nothing that this Asterisk can't do.",
        "On 16: `others: stop`, `pause_method: segment`, `dual_channel: off`.", asterisk.limits,
    ),
    Check(
        "one-sided", _A,
        "Debian's builds of 22, which may lose a new party's voice, are worked around.",
        "`settle_ms: 150` or more in the flow file.", asterisk.one_sided,
    ),
    Check(
        "modules", _A, "The modules that turnrec uses are loaded.",
        "`module load`, and `load =>` in modules.conf.", asterisk.modules,
    ),
    Check(
        "live-dangerously", _A, "Nobody gets a shell through a function of the dialplan.",
        "`live_dangerously = no` in asterisk.conf, and a restart of Asterisk.",
        asterisk.dangerously,
    ),
    Check(
        "digits-logged", _A, "Asterisk's log files don't keep the digits that callers key.",
        "No `dtmf`, `verbose` or `*` in logger.conf's files.", asterisk.digits,
    ),
    Check(
        "dialplan-included", _D, "Asterisk has loaded all subroutines of turnrec.conf.",
        "Include it in extensions.conf; `dialplan reload`.", plan.included,
    ),
    Check(
        "dialplan-current", _D, "The loaded turnrec.conf is this turnrec's, and unedited.",
        "Copy this turnrec's file over it; `dialplan reload`.", plan.current,
    ),
    Check(
        "agi-address", _D, "`TURNREC_AGI` is where turnrec listens.",
        "`TURNREC_AGI` in the dialplan's `[globals]`; `dialplan reload`.", plan.address,
    ),
    Check(
        "flow-names", _D, "The bots and nodes that the dialplan names are in the flow.",
        "Mend the name in the dialplan, or add it to the flow file.", plan.names,
    ),
    Check(
        "other-recorders", _D, "Nothing else in the dialplan records.",
        "Take the steps out; where they are meant, `--skip other-recorders`.", plan.others,
    ),
    Check(
        "queue-recording", _D, "No queue records by itself.",
        "No `monitor-format` in queues.conf; `queue reload all`.", plan.queues,
    ),
    Check(
        "one-touch", _D, "No key of a telephone ends turnrec's monitor.",
        "No `automixmon` and `automon` in features.conf, or no `x`, `X`, `w`, `W` in Dial.",
        plan.one_touch,
    ),
    Check(
        "settings-private", _F, "Only who should reads AMI's secret.", "`chmod 640`.",
        files.secrets_private,
    ),
    Check(
        "api-keys-private", _F, "Only turnrec reads the API keys and the webhooks' secrets.",
        "`chmod 600`.", files.keys_private,
    ),
    Check(
        "signing-key-private", _F, "Only turnrec reads the key that signs the ledger.",
        "`chmod 600`, or `turnrec key new`.", files.signing_key,
    ),
    Check(
        "recordings", _F, "turnrec may write the joined files.",
        "Folder, owner and rights as named.", files.recordings,
    ),
    Check(
        "recordings-private", _F, "The joined files are turnrec's alone, and its group's to read.",
        "`chmod 0750`.", files.recordings_private,
    ),
    Check(
        "spool", _F, "turnrec may take up and delete the parts.",
        "Folder, owner and rights as named.", files.spool,
    ),
    Check(
        "spool-private", _F, "Only Asterisk and turnrec see the parts.", "`chmod o-rwx`.",
        files.spool_private,
    ),
    Check(
        "spool-shared", _F, "Asterisk writes where turnrec looks: tried with 20 ms of silence.",
        "`asterisk_spool_dir`, or `install -d -o asterisk -g turnrec -m 2770`.", files.shared,
    ),
    Check(
        "room", _F, "There is room for recordings.", "Make room, or lower `min_free_mb`.",
        files.room,
    ),
    Check(
        "clock", _C, "turnrec's clock and Asterisk's agree to two seconds.",
        "`timedatectl set-ntp true` on both; restart turnrec.", times.clock,
    ),
    Check(
        "ledger-clock", _C, "The ledger's last entry is not in the future.",
        "Set the clock right and restart turnrec.", times.ledger_clock,
    ),
    Check(
        "ledger", _C, "The ledger can be read and written, and is of this turnrec's version.",
        "What the check says; `turnrec verify` proves the entries.", times.ledger,
    ),
    Check(
        "ami-clear", _N, "AMI's secret goes over no network in clear text.",
        "A tunnel, and `ami_host = \"127.0.0.1\"`.", manager.in_clear,
    ),
    Check(
        "ami-open", _N, "AMI is not open to every network of its machine.",
        "`bindaddr = 127.0.0.1` in manager.conf.", network.manager,
    ),
    Check(
        "asterisk-http-open", _N,
        "Asterisk's HTTP server is not open to every network of its machine.",
        "`bindaddr = 127.0.0.1` or `enabled = no` in http.conf.", network.http,
    ),
    Check(
        "api-open", _N, "turnrec's API goes through no network in clear text.",
        "`host = \"127.0.0.1\"`, and a proxy with TLS before it.", network.api,
    ),
    Check(
        "agi-open", _N, "FastAGI is not open to every network of its machine.",
        "`agi_host`: the one address that Asterisk reaches.", network.agi,
    ),
)  # fmt: skip
