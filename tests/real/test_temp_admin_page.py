"""The admin page of ``moorage temp`` in Chromium."""

from __future__ import annotations

import re

import pytest

from cli.test_temp_run import TOY, Temp, running
from command import DEADLINE, Command, until
from real.test_temp import Chromium, chromium, command

__all__ = ["chromium", "command"]
pytestmark = [pytest.mark.real, pytest.mark.slow]


def page_of(command: Command, temp: Temp) -> tuple[str, str]:
    """Return the address of the admin page, and its token, which no output holds."""
    token = (command.runtime / "state" / "admin-token").read_text().strip()
    assert token not in temp.said()
    return re.search(
        r"Admin page (http://127.0.0.1:\d+/admin), with the token in .*admin-token\n", temp.said()
    )[1], token


def visitors(temp: Temp, number: int) -> list[str]:
    found = []
    for _ in range(number):
        temp.cookies = {}
        found.append(temp.server().split("/")[2])
    return found


def test_an_operator_sees_and_steers_by_the_keyboard(command: Command, chromium: Chromium) -> None:
    with running(command, "--command", TOY, "--admin-port", "0", "--capacity", "5") as temp:
        address, token = page_of(command, temp)
        first, second = visitors(temp, 2)
        page = chromium.new_context(viewport={"width": 1400, "height": 900}).new_page()
        page.goto(address)
        page.wait_for_selector("#sign-in:not([hidden])")
        for given in ("wrong", token):  # the field has the focus
            assert page.evaluate("document.activeElement.id") == "token"
            page.keyboard.type(given)
            page.keyboard.press("Enter")
            if given == "wrong":
                page.wait_for_selector("#trouble:has-text('not the one of this service')")
        page.wait_for_selector(f"#servers td:text-is('{second}')")
        assert token not in page.content()
        assert page.evaluate("document.documentElement.scrollWidth") == 1400
        assert "2 of 5" in page.inner_text("#figures")
        assert f"Server {first} answers" in page.inner_text("#events")

        button = page.get_by_role("button", name=f"End {first}", exact=True)
        button.focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog[open]")
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog:not([open])", state="attached")
        assert button.evaluate("each => each === document.activeElement")
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog[open]")
        assert page.locator(":focus").inner_text() == "Cancel"
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector(f"#servers td:text-is('{first}')", state="detached")  # by itself
        assert page.locator(f"#servers td:text-is('{second}')").count() == 1

        page.fill("[name=capacity]", "7")
        page.fill("[name=spares]", "1")
        page.keyboard.press("Enter")
        page.wait_for_selector("#figures:has-text('1 of 1')")
        assert "of 7" in page.inner_text("#figures")
        page.fill("[name=spares]", "9")
        page.keyboard.press("Enter")
        page.wait_for_selector("#done:has-text('no more than the capacity, 7')")

        page.click("text=Drain")
        page.click("dialog >> text=Drain")
        page.wait_for_selector("#verdict:has-text('Drained')")
        temp.cookies = {}
        assert temp.ask("GET", "/")[0] == 503
        page.click("text=Let visitors in again")
        page.wait_for_selector("#verdict:has-text('Up for')")
        assert temp.ask("GET", "/")[0] == 200

        page.reload()  # the tab keeps the token
        page.wait_for_selector("#servers td:text-is('" + second + "')")
        tab = page.context.new_page()  # and gives it to no other
        tab.goto(address)
        tab.wait_for_selector("#sign-in:not([hidden])")
        chromium.end()


def test_it_is_right_on_a_phone_and_its_address_keeps_no_token(command: Command, chromium: Chromium) -> None:
    with running(command, "--command", TOY, "--admin-port", "0", "--spares", "1") as temp:
        address, token = page_of(command, temp)
        visitors(temp, 2)
        errors: list[str] = []
        page = chromium.new_context(viewport={"width": 400, "height": 800}, color_scheme="dark").new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.goto(f"{address}#{token}")
        page.wait_for_selector("#servers tbody tr")
        assert page.url == address
        for each in page.query_selector_all("details:not([hidden]) > summary"):
            each.click()
        assert page.evaluate("document.documentElement.scrollWidth") == 400
        assert page.locator("#routes tbody tr").count() >= 2
        temp.process.kill()
        temp.process.wait()
        page.wait_for_selector("#trouble:has-text('does not answer')")
        assert [each for each in errors if "ERR_CONNECTION" not in each] == []
        chromium.end()
    with running(command, "--command", TOY, "--admin-port", "0") as again:
        assert page_of(command, again)[1] == token
    left = command.left
    assert until(lambda: not any(each.startswith("process") for each in left()), DEADLINE), left()
