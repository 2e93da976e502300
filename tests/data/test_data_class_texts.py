"""Names of classes as texts."""

import pytest

from softtargets._errors import InputError
from softtargets.data.class_texts import class_texts


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("card_not_working", "card not working"),
        ("BookFlight", "Book Flight"),
        ("Refund: not showing?", "Refund not showing"),
        ("what's_your_name", "what's your name"),
        ("ATM", "ATM"),
        ("top-up/by card (2)", "top up by card 2"),
        ("größe_ändern", "größe ändern"),
    ],
)
def test_words_are_separated_by_spaces(name: str, text: str) -> None:
    assert class_texts("names", [name]) == (text,)


@pytest.mark.parametrize("name", ["7", "1_2", "", "--"])
def test_a_name_without_letters_is_refused_with_its_class(name: str) -> None:
    with pytest.raises(InputError, match=rf"^names: a data set whose class names are words; got '{name}' for class 1"):
        class_texts("names", ["cat", name])
