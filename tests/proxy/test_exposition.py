"""The text that Prometheus reads."""

from __future__ import annotations

from moorage.proxy.exposition import family, single


def test_a_metric() -> None:
    assert family("a_b", "gauge", "How many", [((), 1), ((("x", "y"), ("z", "")), 2.5)]) == (
        '# HELP a_b How many\n# TYPE a_b gauge\na_b 1\na_b{x="y",z=""} 2.5\n'
    )
    assert single("a", "counter", "b", 3) == "# HELP a b\n# TYPE a counter\na 3\n"


def test_foreign_text_in_a_label() -> None:
    assert family("a", "gauge", "b", [((("x", '\\"\n'),), 1)]).endswith('a{x="\\\\\\"\\n"} 1\n')
