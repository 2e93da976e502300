"""What a room offers: the names that its files list in their own ``__all__``."""

from collections.abc import Mapping


def exported(room: Mapping[str, object]) -> list[str]:
    """Return the public names of the package that a room, given as its namespace, has taken from its files."""
    own = (name for name, value in room.items() if getattr(value, "__module__", "").startswith("softtargets."))
    return sorted(name for name in own if not name.startswith("_"))
