"""What the options of ``moorage proxy`` say."""

from __future__ import annotations

import gc
import logging
from pathlib import Path

import pytest

from moorage.cli.main import build_parser
from moorage.cli.proxy_settings import api_tls, keep_garbage_rare, log_to_stderr, settings_of, visitors_tls
from moorage.errors import ConfigurationError, UsageError
from proxy.rig import certificate


def test_options_become_settings() -> None:
    words = ["--timeout", "1500", "--proxy-timeout", "2", "--no-x-forward", "--custom-header", "a: b"]
    settings = settings_of(build_parser().parse_args(["proxy", *words]))
    assert (settings.timeout, settings.proxy_timeout, settings.keep_alive) == (1.5, 0.002, 75.0)
    assert settings.forwarding.custom == ((b"a", b"b"),)
    assert not settings.forwarding.x_forward


@pytest.mark.parametrize("words", [["--timeout", "0"], ["--error-target", "http://a", "--error-path", "b"]])
def test_what_cannot_be(words: list[str]) -> None:
    with pytest.raises(UsageError):
        settings_of(build_parser().parse_args(["proxy", *words]))


def test_keys_of_visitors_and_of_the_api(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    options = build_parser().parse_args(["proxy", "--ssl-key", files.key, "--ssl-cert", files.certificate])
    assert visitors_tls(options) is not None
    assert api_tls(options) is None
    options = build_parser().parse_args(["proxy", "--api-ssl-cert", "nowhere"])
    assert visitors_tls(options) is None
    with pytest.raises(ConfigurationError):
        api_tls(options)


def test_what_a_process_of_its_own_sets(capsys: pytest.CaptureFixture[str]) -> None:
    root, own, threshold = logging.getLogger(), logging.getLogger("moorage"), gc.get_threshold()
    level, handlers = own.level, list(root.handlers)
    try:
        log_to_stderr("warn", "one: ")
        logging.getLogger("moorage.proxy").warning("said")
        logging.getLogger("moorage.proxy").info("not said")
        assert capsys.readouterr().err.endswith("[WARNING] one: said\n")
        keep_garbage_rare()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.set_threshold(*threshold)
        own.setLevel(level)
        root.handlers[:] = handlers
