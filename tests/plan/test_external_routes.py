"""What is added to and deleted from another program's proxy."""

from __future__ import annotations

from moorage.plan.external_routes import FoundRoute, Repairs, plain, repairs

HERE, OWN = "http://127.0.0.1:8005", "ours"


def test_what_is_missing_is_added_and_what_is_left_is_deleted() -> None:
    found = {
        "/": FoundRoute(HERE, OWN),
        "/user/a/": FoundRoute(f"{HERE}/", OWN),
        "/user/old": FoundRoute(HERE, OWN),
        "/moved": FoundRoute("http://127.0.0.1:1", OWN),
        "/hub": FoundRoute("http://127.0.0.1:8081"),
        "/other": FoundRoute(HERE, "another service's"),
    }
    wanted = {"/": 0, "/user/a": 0, "/user/b/": 0, "/moved": 0}
    assert repairs(wanted, HERE, found, OWN) == Repairs(("/user/b", "/moved"), ("/user/old",))


def test_routes_of_other_programs_are_not_touched() -> None:
    found = {"/": FoundRoute("http://127.0.0.1:8081"), "/user/a": FoundRoute("http://x", "another service's")}
    assert repairs(["/", "/user/a"], HERE, found, OWN) == Repairs(
        taken={"/": "http://127.0.0.1:8081", "/user/a": "http://x"}
    )


def test_a_proxy_that_keeps_no_owner_is_well_as_long_as_its_routes_lead_here() -> None:
    assert repairs(["/"], HERE, {"/": FoundRoute(HERE)}, OWN) == Repairs()


def test_nothing_is_wanted_at_the_end() -> None:
    found = {"/": FoundRoute(HERE, OWN), "/user/a": FoundRoute(HERE, OWN), "/x": FoundRoute(HERE)}
    assert repairs([], HERE, found, OWN) == Repairs(delete=("/", "/user/a"))


def test_paths() -> None:
    assert [plain(path) for path in ("/", "", "/user/a/", "user/a")] == ["/", "/", "/user/a", "/user/a"]
