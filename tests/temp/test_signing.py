"""Signatures, and the names of cookies."""

from __future__ import annotations

from moorage.temp.signing import CookieSigner

PLAIN, OWN = CookieSigner(b"1" * 32, by_host=False), CookieSigner(b"1" * 32, by_host=True)


def test_a_signature_is_for_one_purpose_and_one_service() -> None:
    assert PLAIN.sign("a", "x") == OWN.sign("a", "x")
    assert PLAIN.sign("a", "x") != PLAIN.sign("b", "x")
    assert PLAIN.sign("a", "x") != CookieSigner(b"2" * 32, by_host=False).sign("a", "x")
    assert PLAIN.named("x") != CookieSigner(b"2" * 32, by_host=False).named("x")


def test_by_https_a_name_says_that_no_other_host_has_set_it() -> None:
    assert PLAIN.field("a", "b", "/", secure=True).startswith("a=b; Path=/; ")
    assert OWN.field("a", "b", "/", secure=False).startswith("a=b; Path=/; ")
    field = OWN.field("a", "b", "/", secure=True, seconds=5)
    assert field == "__Host-a=b; Path=/; Max-Age=5; HttpOnly; SameSite=Lax; Secure"


def test_what_can_have_come_from_another_host_is_passed_over() -> None:
    cookies = "a-1=x;__Host-a-2=y ; b=z; a=[]; nonsense; a-3; a-4=\udc80"
    assert PLAIN.values(cookies, "a-", secure=True) == ["x", ""]
    assert OWN.values(cookies, "a-", secure=False) == ["x", ""]
    assert OWN.values(cookies, "a-", secure=True) == ["y"]
    for blank in "\u0085\u00a0\u2000\u2009\u3000\x0b\x0c\x1c":
        assert OWN.values(f"b=z; {blank}__Host-a-4=x", "a-", secure=True) == []
