"""Names of classes as texts, such as "card not working" for "card_not_working"."""

import re
from collections.abc import Sequence

from softtargets._errors import fail

# a letter, in any script
_LETTER = re.compile(r"[^\W\d_]")
# "BookFlight": between a small letter and a capital
_JOINED = re.compile(r"(?<=[a-z])(?=[A-Z])")
# what separates the words of a name: anything that is neither a letter nor a digit, except apostrophes
_SEPARATOR = re.compile(r"[^\w']+|_+")


def class_texts(argument: str, class_names: Sequence[str]) -> tuple[str, ...]:
    """Return the name of each class as a text: words separated by single spaces, in the case of the name.

    Args:
        argument: what needs the names to be words, for errors.
        class_names: as in a data set.

    Raises:
        InputError: if a name has no letters, such as the "3" of a data set whose classes are numbers.

    Example:
        >>> class_texts("objective", ["card_not_working", "BookFlight", "Refund: not showing?"])
        ('card not working', 'Book Flight', 'Refund not showing')
    """
    for index, name in enumerate(class_names):
        if not _LETTER.search(name):
            required = "a data set whose class names are words"
            remedy = "give the data set class names, or do not use the names"
            raise fail(argument, required, f"'{name}' for class {index}", remedy)
    return tuple(" ".join(_SEPARATOR.sub(" ", _JOINED.sub(" ", name)).split()) for name in class_names)
