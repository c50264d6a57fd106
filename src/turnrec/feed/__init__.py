"""The feed: what the ledger's entries tell, to whoever listens, in order and once."""

from turnrec.feed.board import LiveBoard
from turnrec.feed.feed import Feed
from turnrec.feed.told import Told, describe_event, tell

__all__ = ["Feed", "LiveBoard", "Told", "describe_event", "tell"]
