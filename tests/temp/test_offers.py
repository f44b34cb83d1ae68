"""Offers."""

from __future__ import annotations

from pathlib import Path

from moorage.plan.visits import UNNAMED, OfferTerms
from moorage.temp.offers import Offer, only_offer, terms_of
from moorage.temp.settings import TempSettings
from temp.rig import toy


def test_a_service_without_offers_has_one_without_a_name() -> None:
    settings = TempSettings(state=Path("/s"), command=toy(), title="T", spares=2)
    assert only_offer(settings) == {UNNAMED: Offer(UNNAMED, "T", "", 0, settings)}
    assert terms_of(only_offer(settings)) == {"": OfferTerms(0, 2)}


def test_limits_are_those_that_are_said() -> None:
    settings = TempSettings(state=Path("/s"), command=toy())
    offers = {name: Offer(name, name, "", limit, settings) for name, limit in (("a", 0), ("b", 3))}
    assert terms_of(offers) == {"a": OfferTerms(), "b": OfferTerms(3)}
