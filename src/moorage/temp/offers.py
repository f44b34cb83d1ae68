"""What visitors can choose from: each offer with a server, content and variables of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from moorage.plan.egress import EgressList
from moorage.plan.visits import UNNAMED, OfferName, OfferTerms
from moorage.temp.settings import TempSettings


@dataclass(frozen=True)
class Offer:
    """One thing to choose.

    Args:
        name: as it stands in links; :data:`~moorage.plan.visits.UNNAMED` where there is one thing alone.
        title: what visitors read.
        description: a sentence or two below it; may be empty.
        limit: how many servers of it there may be at once; 0 for as many as the service has room for.
        settings: those of the service, with what the offer says in their place; the content is at hand.
    """

    name: OfferName
    title: str
    description: str
    limit: int
    settings: TempSettings

    @property
    def invited_only(self) -> bool:
        """Whether it takes an invitation to get a server of it."""
        return self.settings.invited_only


Offers: TypeAlias = Mapping[OfferName, Offer]
"""All that there is, by name, in the order in which it is shown."""


def only_offer(settings: TempSettings) -> Offers:
    """Return the one offer of a service that was told none."""
    return {UNNAMED: Offer(UNNAMED, settings.title, "", 0, settings)}


def terms_of(offers: Offers) -> dict[OfferName, OfferTerms]:
    """Return how many servers and spares there may be of each."""
    return {name: OfferTerms(offer.limit, offer.settings.spares) for name, offer in offers.items()}


def egress_of(offers: Offers) -> dict[OfferName, EgressList]:
    """Return which hosts the servers of each may reach."""
    return {name: offer.settings.egress for name, offer in offers.items()}
