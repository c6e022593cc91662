"""Incidents by id: what was decided about each; which cases belong to it stands in their rows."""

from typing import Final

from models.incidents import Incident
from streams.rows import Kind

INCIDENTS: Final = Kind("incident", Incident)
