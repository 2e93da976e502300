"""What a page says, for tests."""

import re
from html.parser import HTMLParser


class Reader(HTMLParser):
    """Collects attributes, the text outside of scripts, and the numbers in data elements."""

    def __init__(self, html: str):
        super().__init__()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.values: set[float] = set()
        self.text = ""
        self._within = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag == "data":
            self.values.add(float(dict(attrs)["value"] or "nan"))
        if tag in ("script", "style"):
            self._within = tag

    def handle_endtag(self, tag):
        self._within = "" if tag == self._within else self._within

    def handle_data(self, data):
        if not self._within:
            self.text += " " + data


def words_of(html: str | bytes) -> str:
    """Return the text of a page with single spaces."""
    return re.sub(r"\s+", " ", Reader(html if isinstance(html, str) else html.decode()).text)
