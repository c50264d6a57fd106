"""Checks recordings, manifests and ledgers for somebody who trusts none of them; offline.

It reads files and a database, changes nothing, asks no server, and needs no secret: only the public
key that signed the checkpoints. What it finds has a name each (`findings`).
"""
