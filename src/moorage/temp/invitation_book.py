"""Invitations as they are written down: a file for each in the state directory, and signed links."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from moorage.errors import OutputError
from moorage.plan.invitations import (
    Invitation,
    InvitationId,
    Invitations,
    InvitationState,
    KeptInvitation,
)
from moorage.plan.visits import OfferName, VisitorId
from moorage.temp.identity import Identity, write_private

log = logging.getLogger("moorage.temp")

FOLDER = "invitations"
SHOWN = 24 * 3600.0
"""Seconds for which an expired invitation is still listed; its link says by itself that it has expired."""
LONGEST = 400
"""Characters of a link's token: the name of an offer has at most 64."""


class InvitationBook:
    """Makes, checks and remembers the invitations of one service.

    Args:
        identity: signs links.
        state: directory of the service; its user alone may enter it.
    """

    def __init__(self, identity: Identity, state: Path) -> None:
        self._identity = identity
        self._folder = state / FOLDER
        self._invitations = Invitations(_read(self._folder))

    def __iter__(self) -> Iterator[KeptInvitation]:
        return iter(self._invitations)

    def issue(self, offer: OfferName, seats: int, seconds: float) -> KeptInvitation:
        """Make an invitation.

        Args:
            offer: that it is for.
            seats: how many visitors it lets in.
            seconds: until it expires.

        Raises:
            OutputError: it cannot be written down.
        """
        self._forget_expired()
        name = InvitationId(secrets.token_hex(4))
        until = int(time.time() + seconds)
        kept = KeptInvitation(Invitation(name, seats, until, offer))
        self._keep(kept)
        return kept

    def withdraw(self, name: InvitationId) -> bool:
        """Have an invitation let in no further visitor; tell whether there is such a one.

        Raises:
            OutputError: it cannot be written down.
        """
        kept = self._invitations.get(name)
        if kept is not None and not kept.withdrawn:
            self._keep(msgspec.structs.replace(kept, withdrawn=True))
        return kept is not None

    def token(self, invitation: Invitation) -> str:
        """Return the part of its link that is signed."""
        said = _written(invitation)
        return f"{said}~{self._identity.invitation_signature(said)}"

    def read(self, token: str) -> Invitation | None:
        """Return what a link says; None where this service has not signed it just so."""
        said, _, signature = token[: LONGEST + 1].rpartition("~")
        if not self._identity.is_invitation(said, signature) or len(token) > LONGEST:
            return None
        name, seats, until, offer = said.split("~")
        return Invitation(InvitationId(name), int(seats), int(until), OfferName(offer))

    def state(self, invitation: Invitation, names: Collection[VisitorId]) -> InvitationState:
        """Return how the invitation of a link stands for a visitor; ``open`` is one that lets it in."""
        return self._invitations.state(invitation, names, time.time())

    def invites(self, names: Collection[VisitorId], offer: OfferName) -> bool:
        """Tell whether a visitor has a seat for an offer."""
        return self._invitations.invites(names, offer, time.time())

    def take(
        self, invitation: Invitation, visitor: VisitorId, names: Collection[VisitorId] = ()
    ) -> bool | None:
        """Give a visitor a seat, and write that down.

        Args:
            invitation: of a link that was signed here.
            visitor: that is to have it.
            names: all that its browser has.

        Returns:
            Whether it is a further one that is taken; None where the visitor gets none.

        Raises:
            OutputError: it cannot be written down; then it is not taken.
        """
        before = self._invitations.get(invitation.id)
        kept = self._invitations.seated(invitation.id, visitor, names, time.time())
        if kept is None or before is None:
            return None
        if kept is not before:
            self._keep(kept)
        return len(kept.seated) > len(before.seated)

    def bring(self, visitor: VisitorId, names: Collection[VisitorId], offer: OfferName) -> bool:
        """Have a seat that a browser has for an offer be a visitor's own; tell whether the visitor has one.

        Args:
            visitor: the name by which the browser counts.
            names: all that it has, but for those whose seats are to stay theirs.
            offer: that the seat is for.

        Raises:
            OutputError: it cannot be written down; then the seat stays where it is.
        """
        if self.invites((visitor,), offer):
            return True
        found = self._invitations.inviting(names, offer, time.time())
        return found is not None and self.take(found, visitor, names) is not None

    def give_back(self, invitation: Invitation, visitor: VisitorId) -> None:
        """Free the seat of a visitor that got no server by it."""
        if (kept := self._invitations.left(invitation.id, visitor)) is not None:
            try:
                self._keep(kept)
            except OutputError as error:  # it stays taken
                log.warning("%s", error)

    def _keep(self, kept: KeptInvitation) -> None:
        path = self._folder / kept.invitation.id
        unfinished = path.with_name(f"{path.name}.new")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            unfinished.unlink(missing_ok=True)
            write_private(unfinished, msgspec.json.encode(kept))
            unfinished.rename(path)
        except OSError as error:
            why = error.strerror or str(error)
            raise OutputError(f"the invitation {path} cannot be written", why=why) from error
        self._invitations.keep(kept)

    def _forget_expired(self) -> None:
        for name in self._invitations.expired(time.time() - SHOWN):
            (self._folder / name).unlink(missing_ok=True)
            self._invitations.forget(name)


def _written(invitation: Invitation) -> str:
    return f"{invitation.id}~{invitation.seats}~{invitation.until}~{invitation.offer}"


def _read(folder: Path) -> Iterator[KeptInvitation]:
    """Yield what is kept; a file that holds nothing of the kind is told of, and lets in none."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix == ".new":  # a service was killed while it wrote; the one before it is whole
            continue
        try:
            yield msgspec.json.decode(path.read_bytes(), type=KeptInvitation)
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("The invitation %s cannot be read, and counts as withdrawn: %s", path, error)
