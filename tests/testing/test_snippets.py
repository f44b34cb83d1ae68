"""The small programs are what they say."""

from __future__ import annotations

from moorage.testing.snippets import LANGUAGES, MANY


def test_every_language_has_what_must_be():
    for name, snippets in LANGUAGES.items():
        assert name == name.lower()
        assert snippets.prints
        assert snippets.fails
        assert "ahoy é→𝄞" in snippets.prints
        assert str(MANY) in snippets.many or str(MANY - 1) in snippets.many


def test_pythons_do_what_they_say(capsys):
    python = LANGUAGES["python"]
    for code in (python.prints, python.sets + "\n" + python.gets, python.many):
        exec(code, {})
    printed = capsys.readouterr().out.split("\n")
    assert printed[:2] == ["ahoy é→𝄞", "1"]
    assert len(printed) == MANY + 3
    assert eval(python.value) == 42
