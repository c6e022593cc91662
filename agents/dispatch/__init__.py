"""
``work`` -> ``desk-events``, ``answers``, ``case-events``: one writer per tenant, a fold over one log.

Matching is level-triggered: after every record that frees or fills something, and at every tick, queued cases meet free reps.
Until the partition's takeover record is read, records are folded, but no offer is made and no desk hears anything; the
takeover's offset is the epoch, its snapshots come first in it. Time is what the records say.
"""

from agents.dispatch.step import Dispatch

__all__ = ["Dispatch"]
