"""The pages of the service: without script, with nothing from elsewhere, complete in one answer each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from moorage.errors import sentence
from moorage.plan.visits import ServerGone
from moorage.stylesheet import stylesheet
from moorage.temp.brake_told import BrakeTold
from moorage.temp.memory_told import MemoryTold
from moorage.temp.offers import Offer
from moorage.temp.time_left import TimeLeft
from moorage.temp.wish import Wish
from moorage.version import __version__

_FULL = "All servers that fit here are in use. You can wait for one in the queue."
_JOIN = "Join the queue"
_DRAINED = "No new visitors are let in at the moment. Visitors with a server keep it."
_LOOKS_AGAIN = (
    "<p>Keep this page open: it looks again every minute, and has the button when visitors are let in again."
    "</p><p>If you have a server here, this page leads to it in the browser that you started it with.</p>"
)
_STANDS = "No new visitors are let in at the moment. You keep your place, and the queue goes on after that."
_CLOSED = "By invitation only: open the link that you were invited with."
_FULL_CHOICE = "All servers of it are in use now."
_SEVERAL = "Choose what opens, in a server for you with a copy of all files."
WHOLE_SHARE = "Go on with the whole share"
_TEMPORARY = (
    "It is yours alone and it is temporary: when it ends, all that is in it is gone. "
    "Download what you want to keep."
)


@dataclass(frozen=True)
class Choice:
    """An offer; whether there is room for none more of it, and whether the visitor is not invited to it."""

    offer: Offer
    full: bool
    closed: bool = False


class FrontPages:
    """Writes the pages of one service.

    Args:
        title: of the front page.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._frame = Path(__file__).with_name("page.html").read_text("utf-8")
        self._style = stylesheet() + Path(__file__).with_name("style.css").read_text("utf-8")

    def front(
        self,
        token: str,
        wanted: Wish,
        last: ServerGone | None,
        choices: Sequence[Choice],
        *,
        drained: bool = False,
    ) -> str:
        """Return the page with a button for each choice.

        Args:
            token: of the form.
            wanted: what opens in the server.
            last: what became of the visitor's last server.
            choices: one at least.
            drained: whether no new visitors are let in; then there is no button, and the page looks again by
                itself.
        """
        full = all(choice.full and not choice.closed for choice in choices)
        one = choices[0] if len(choices) == 1 else None
        told = [] if last is None else [self._last(last)]
        told += [_DRAINED] if drained else [_FULL] if full else []
        verdict = " ".join(told) or (_offered(one.offer) if one else _SEVERAL)
        retry = last is not None and not last.answered
        if drained:
            main = f'<div class="panel">{_LOOKS_AGAIN}</div>'
        else:
            main = self._one(one, token, wanted, retry) if one else self._several(choices, token, wanted)
        if last is not None and last.said:
            label = "What the server said last"
            main += f'<pre class="said" tabindex="0" aria-label="{label}">{_text(last.said)}</pre>'
        title = f"Open {wanted.file}" if wanted.file else one.offer.title if one else self._title
        head = f'\n<meta http-equiv="refresh" content="60;url={_text(wanted.link)}">' if drained else ""
        return self._page(title, verdict, main, head=head, trouble=last is not None or full)

    def _one(self, choice: Choice, token: str, wanted: Wish, retry: bool) -> str:  # noqa: FBT001 - private
        if choice.closed:
            return f'<div class="panel"><p>{_CLOSED}</p></div>'
        server = choice.offer.settings.command.called
        word = _JOIN if choice.full else "Try again" if retry else f"Open {server}"
        form = self._form("/start", word, token, Wish(wanted.to, choice.offer.name, wanted.invitation))
        return f'<div class="panel">{form}<p class="small">{_TEMPORARY}</p></div>'

    def _several(self, choices: Sequence[Choice], token: str, wanted: Wish) -> str:
        items = "".join(self._item(number, choice) for number, choice in enumerate(choices))
        return (
            f'<form method="post" action="/start">{_hidden("token", token)}{_hidden("to", wanted.to)}'
            f'<ul class="choices">{items}</ul></form><p class="small after">{_TEMPORARY}</p>'
        )

    def _item(self, number: int, choice: Choice) -> str:
        offer = choice.offer
        about = [_text(offer.description)] if offer.description else []
        about += [_CLOSED] if choice.closed else [_FULL_CHOICE] if choice.full else []
        told = f'<p id="about-{number}">{" ".join(about)}</p>' if about else ""
        described = f' aria-describedby="about-{number}"' if about else ""
        if choice.closed:
            return f'<li class="panel"><div><h2>{_text(offer.title)}</h2>{told}</div></li>'
        word = _JOIN if choice.full else f"Open {offer.settings.command.called}"
        return (
            f'<li class="panel"><div><h2>{_text(offer.title)}</h2>{told}</div>'
            f'<button name="offer" value="{_text(offer.name)}"{described}>{_text(word)}'
            f'<span class="hidden">: {_text(offer.title)}</span></button></li>'
        )

    def waiting(self, wanted: Wish) -> str:
        """Return the page that is shown while a server starts; it goes on by itself."""
        go_on = f"/ready?{wanted.query}"
        main = (
            '<div class="panel"><div class="under-way" role="progressbar" aria-label="Starting"><i></i></div>'
            '<p class="small">This page goes on by itself. '
            f'If it does not, <a href="{_text(go_on)}">go on here</a>.</p></div>'
        )
        head = f'\n<meta http-equiv="refresh" content="0;url={_text(go_on)}">'
        return self._page("Your server is starting", "It takes a few seconds.", main, head=head)

    def queue(
        self, token: str, wanted: Wish, place: int, waiting: int, seconds: int, *, stands: bool = False
    ) -> str:
        """Return the page of a visitor in the queue; it asks again by itself.

        Args:
            token: of the form that leaves the queue.
            wanted: what opens once there is room.
            place: from 1 on.
            waiting: how many wait.
            seconds: after which it asks again.
            stands: whether no visitor is let in at the moment.
        """
        again = f"/queue?{wanted.query}"
        behind = f"{_visitors(place - 1)} before you" if place > 1 else "You are next"
        main = (
            f'<div class="panel"><p class="place"><strong>{place}</strong> of {waiting}</p>'
            f"<p>{behind}. Keep this page open: it shows how things stand every {seconds} seconds, and leads "
            f"into your server when it is your turn. Reloading it costs you nothing.</p>"
            f"{self._form('/end', 'Leave the queue', token, wanted, quiet=True)}</div>"
        )
        head = f'\n<meta http-equiv="refresh" content="{seconds};url={_text(again)}">'
        verdict = _STANDS if stands else "All servers that fit here are in use."
        return self._page(f"Place {place} in the queue", verdict, main, head=head)

    def silent(self) -> str:
        """Return the page for a server that does not answer; it asks for the same address again by itself."""
        verdict = "It may have ended just now, or have much to do. This page looks again by itself."
        main = '<div class="panel"><p><a href="/">To the front page</a></p></div>'
        head = '\n<meta http-equiv="refresh" content="2">'
        return self._page("Your server does not answer", verdict, main, head=head, trouble=True)

    def not_woken(self, why: str, files: str) -> str:
        """Return the page for a server that is asleep and could not be started again.

        Args:
            why: a clause.
            files: address of the visitor's files.
        """
        main = (
            '<div class="panel"><p><a class="button" href="">Try again</a></p>'
            f'<p><a class="button quiet" href="{_text(files)}">Download your files</a></p>'
            '<p class="small">Your kernels and files are still there.</p></div>'
        )
        verdict = sentence(f"It is asleep, and could not be woken: {why}")
        return self._page("Your server is asleep", verdict, main, trouble=True)

    def crowded(self) -> str:
        """Return the page for a visitor that there are no descriptors for now; it asks again by itself."""
        verdict = "More visitors came at once than can be answered. This page looks again by itself."
        main = '<div class="panel"><p><a href="/">To the front page</a></p></div>'
        head = '\n<meta http-equiv="refresh" content="5">'
        return self._page("There is a crowd here", verdict, main, head=head, trouble=True)

    def yours(
        self,
        token: str,
        path: str,
        server: str,
        left: TimeLeft,
        memory: MemoryTold | None = None,
        brake: BrakeTold | None = None,
    ) -> str:
        """Return the page about a visitor's own server that runs.

        Args:
            token: of the form that ends it.
            path: of its URL.
            server: what it is called: ``JupyterLab``.
            left: of its time.
            memory: what is told of its memory; None where that is not bounded.
            brake: ... of its share of the processors; None where that is never lowered.
        """
        asks = "" if brake is None else brake.words
        killed = "" if memory is None else memory.words
        told = [sentence(each) for each in (killed, asks) if each]
        go_on = self._form("/go-on", WHOLE_SHARE, token, Wish(), quiet=True) if asks else ""
        main = (
            f'<div class="panel"><p><a class="button" href="{_text(path)}">Go to your {_text(server)}</a></p>'
            f"{go_on}"
            '<p><a class="button quiet" href="/download">Download your files</a></p>'
            f"{self._form('/end', 'End it now', token, Wish(), quiet=True)}"
            f'<p class="small">{_TEMPORARY}</p></div>'
        )
        head = '\n<meta http-equiv="refresh" content="30">'
        verdict = " ".join([sentence(left.words), *told])
        return self._page("Your server", verdict, main, head=head, trouble=bool(killed))

    def other(self, token: str, path: str, wanted: Wish, *, has: str, title: str) -> str:
        """Return the page for a visitor that wants another offer than the one of its server.

        Args:
            token: of the form that ends the server.
            path: of its URL.
            wanted: what the visitor wants in its place.
            has: title of the server's offer; empty where there is none of that name any more.
            title: of the wanted offer.
        """
        yours = f"“{has}”" if has else "an earlier offer"
        main = (
            f'<div class="panel"><p><a class="button" href="{_text(path)}">Go to your server</a></p>'
            f"{self._form('/end', 'End it', token, wanted, quiet=True)}"
            '<p class="small">All that is in it is gone then. Download what you want to keep.</p></div>'
        )
        verdict = f"It is for {yours}, and each visitor has one at a time. End it to get one for “{title}”."
        return self._page("You have a server already", verdict, main)

    def message(self, title: str, text: str, *, link: str = "/", word: str = "To the front page") -> str:
        """Return a page that says why there is nothing else."""
        main = f'<div class="panel"><p><a href="{_text(link)}">{_text(word)}</a></p></div>'
        return self._page(title, text, main)

    def _last(self, last: ServerGone) -> str:
        if last.answered:
            return sentence(f"Your last server has ended: {last.why}")
        return sentence(f"Your server could not be started: {last.why}")

    def _form(self, action: str, word: str, token: str, wanted: Wish, *, quiet: bool = False) -> str:
        kind = ' class="quiet"' if quiet else ""
        chosen = _hidden("offer", wanted.offer) if wanted.offer else ""
        chosen += _hidden("invitation", wanted.invitation) if wanted.invitation else ""
        return (
            f'<form method="post" action="{action}">{_hidden("token", token)}{_hidden("to", wanted.to)}'
            f"{chosen}<button{kind}>{_text(word)}</button></form>"
        )

    def _page(self, title: str, verdict: str, main: str, *, head: str = "", trouble: bool = False) -> str:
        return self._frame.format(
            head=head,
            title=_text(title),
            style=self._style,
            verdict=f'<p class="verdict{" trouble" if trouble else ""}">{_text(verdict)}</p>',
            main=main,
            version=__version__,
        )


def _offered(offer: Offer) -> str:
    """Return what is said of the one thing that there is."""
    return offer.description or f"A {offer.settings.command.called} for you, with a copy of all files."


def _visitors(number: int) -> str:
    return f"{number} visitor is" if number == 1 else f"{number} visitors are"


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{name}" value="{_text(value)}">'


def _text(text: str) -> str:
    return escape(text)
