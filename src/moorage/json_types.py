"""Types of what comes from JSON: objects of foreign programs, of which nothing is known but their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

JsonObject = dict[str, Any]
"""An object of JSON, to be filled or changed."""
JsonMapping = Mapping[str, Any]
"""An object of JSON that is only read."""
