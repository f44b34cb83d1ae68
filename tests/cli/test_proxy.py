"""``moorage proxy``: its options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from moorage.cli.main import build_parser
from moorage.cli.proxy import UNSUPPORTED, run
from moorage.errors import UsageError

OPTIONS_OF_CHP = """
--ip --port --socket --ssl-key --ssl-cert --ssl-ca --ssl-request-cert --ssl-reject-unauthorized --ssl-protocol
--ssl-ciphers --ssl-allow-rc4 --ssl-dhparam --api-ip --api-port --api-socket --api-ssl-key --api-ssl-cert
--api-ssl-ca --api-ssl-request-cert --api-ssl-reject-unauthorized --client-ssl-key --client-ssl-cert
--client-ssl-ca --client-ssl-request-cert --client-ssl-reject-unauthorized --default-target --error-target
--error-path --redirect-port --redirect-to --pid-file --no-x-forward --no-prepend-path --no-include-prefix
--auto-rewrite --change-origin --protocol-rewrite --custom-header --insecure --host-routing --metrics-ip
--metrics-port --metrics-socket --log-level --timeout --proxy-timeout --storage-backend --keep-alive-timeout
"""
"""Of bin/configurable-http-proxy 5.3.0."""


def test_every_option_of_configurable_http_proxy_is_known() -> None:
    parser = build_parser().chosen("proxy")
    known = {flag for action in parser._actions for flag in action.option_strings}
    assert known - {"-h", "--help", "--acceptors"} == set(OPTIONS_OF_CHP.split())


def test_the_reference_names_every_option() -> None:
    page = Path(__file__).parents[2] / "docs/reference/proxy.md"
    named = set(
        re.findall(r"--[a-z0-9-]+", page.read_text().partition("## Beside configurable-http-proxy")[2])
    )
    assert named >= set(OPTIONS_OF_CHP.split())


@pytest.mark.parametrize("flag", UNSUPPORTED)
def test_what_is_not_supported_is_refused_by_name(flag: str) -> None:
    for words in ([flag, "x"], [flag]):
        options = build_parser().parse_args(["proxy", *words])
        with pytest.raises(UsageError, match=f"{flag} is not supported") as caught:
            run(options)
        assert caught.value.why
