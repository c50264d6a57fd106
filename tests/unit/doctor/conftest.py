"""The doctor's house, for every test here."""

from tests.unit.doctor.house import house

__all__ = ["house"]
