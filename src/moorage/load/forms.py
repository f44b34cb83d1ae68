"""What a page asks of a browser: its forms, where it leads by itself, what it loads. No I/O."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from msgspec import Struct, field

_REFRESH = re.compile(r"\s*(?P<seconds>\d+(?:\.\d*)?)\s*(?:;\s*url\s*=\s*(?P<path>.*))?", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


class Form(Struct):
    """A form.

    Attributes:
        action: path that it is sent to.
        fields: what is sent when its first button is pressed.
    """

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class Refresh(Struct, frozen=True):
    """Where a page leads by itself.

    Attributes:
        seconds: after which it does.
        path: empty for the same page.
    """

    seconds: float
    path: str


class Html(Struct):
    """What stands in a page.

    Attributes:
        forms: in order.
        refresh: where it leads by itself, if it does.
        files: paths of its scripts and stylesheets.
        heading: the text of its first heading, with the paragraph below it.
        config: JSON of a page of Jupyter; empty elsewhere.
    """

    forms: list[Form] = field(default_factory=list)
    refresh: Refresh | None = None
    files: list[str] = field(default_factory=list)
    heading: str = ""
    config: str = ""

    def form(self, action: str) -> Form | None:
        """Return the first form that is sent to a path."""
        return next((form for form in self.forms if form.action == action), None)


def read_html(text: str) -> Html:
    """Return what stands in a page; of a text that is none, nothing."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    page = reader.page
    page.heading = ". ".join(_SPACE.sub(" ", each).strip().rstrip(".") for each in reader.said)
    return page


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Html()
        self.said: list[str] = []
        self._inside: Form | None = None
        self._pressed = False
        self._hears = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        match tag:
            case "form":
                self._inside, self._pressed = Form(known.get("action", "")), False
                self.page.forms.append(self._inside)
            case "input" | "button" if self._inside is not None:
                self._control(self._inside, tag, known)
            case "meta" if known.get("http-equiv", "").lower() == "refresh":
                self._refresh(known.get("content", ""))
            case "script" if known.get("id") == "jupyter-config-data":
                self._hears = tag
            case "script" if known.get("src"):
                self.page.files.append(known["src"])
            case "link" if known.get("rel", "") in {"stylesheet", "preload"} and known.get("href"):
                self.page.files.append(known["href"])
            case "h1" | "p" if tag == "h1" or "verdict" in known.get("class", ""):
                self._hears = tag
                self.said.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = None
        if tag == self._hears:
            self._hears = ""

    def handle_data(self, data: str) -> None:
        if self._hears == "script":
            self.page.config += data
        elif self._hears:
            self.said[-1] += data

    def _control(self, form: Form, tag: str, known: dict[str, str]) -> None:
        if tag == "button":
            if self._pressed:
                return
            self._pressed = True
        if name := known.get("name"):
            form.fields[name] = known.get("value", "")

    def _refresh(self, content: str) -> None:
        if match := _REFRESH.fullmatch(content):
            self.page.refresh = Refresh(float(match["seconds"]), (match["path"] or "").strip())
