from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import hmac
import json
import math
import warnings
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from moorage.errors import ProtocolError
from moorage.wire.codec import DELIMITER, Signer, decode, dumps, encode, loads
from moorage.wire.messages import Header, Message

KEY = b"5f1b9c3a-a0f6-4c6e-8e57-8f0e8d8d8a61"
SIGNER = Signer(KEY)
quick = settings(max_examples=200, deadline=None)


def joined(value: Any) -> Any:
    """Join neighbouring lone surrogates that make a pair, as every JSON reader does."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    if isinstance(value, dict):
        return {joined(name): joined(item) for name, item in value.items()}
    if isinstance(value, list):
        return [joined(item) for item in value]
    return value


def same(left: Any, right: Any) -> bool:
    """Compare with NaN equal to itself and 1 different from 1.0 and True."""
    return repr(joined(left)) == repr(joined(right))


any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)
any_object = st.dictionaries(any_text, any_json, max_size=4)
any_header = st.builds(Header, any_text, any_text, any_text, any_text, any_text, any_text)
any_message = st.builds(
    Message,
    channel=st.just("iopub"),
    header=any_header,
    parent_header=any_object,
    metadata=any_object,
    content=any_object,
    buffers=st.lists(st.binary(max_size=20), max_size=3).map(tuple),
    identities=st.lists(st.binary(max_size=20).filter(lambda raw: raw != DELIMITER), max_size=3).map(tuple),
)


def signed(
    *parts: bytes, signer: Signer = SIGNER, buffers: tuple[bytes, ...] = ()
) -> list[bytes | memoryview]:
    return [DELIMITER, signer.sign(parts), *parts, *buffers]


HEADER = b'{"msg_id":"a","msg_type":"status"}'


class TestJson:
    @pytest.mark.parametrize(
        ("raw", "value"),
        [
            (b"NaN", math.nan),
            (b"[Infinity,-Infinity]", [math.inf, -math.inf]),
            (b"1e400", math.inf),
            (b"123456789012345678901234567890", 123456789012345678901234567890),
            (rb'"a\ud800b"', "a\ud800b"),
            (b'"\xed\xa0\x80"', "\ud800"),
            (b'"caf\xe9"', "caf\ufffd"),
            (b'"a\x01\tb"', "a\x01\tb"),
            (rb'"\ud83d\ude00"', "😀"),
        ],
    )
    def test_what_kernels_write_is_read(self, raw, value):
        assert repr(loads(raw)) == repr(value)
        assert repr(loads(memoryview(raw))) == repr(value)

    @pytest.mark.parametrize("raw", [b"", b"{", b"nil", b"{} {}", b"\x00", b"'a'", b"1" * 5000])
    def test_what_is_no_json_is_said_so(self, raw):
        with pytest.raises(ProtocolError, match="not JSON"):
            loads(raw)

    @pytest.mark.parametrize("raw", [b"[" * 100_000, b'{"a":' * 100_000, b"[NaN," * 100_000])
    def test_deep_nesting_is_refused_on_reading(self, raw):
        with pytest.raises(ProtocolError, match="nested"):
            loads(raw)

    @pytest.mark.parametrize("leaf", [1, math.nan, "\ud800", None])
    def test_deep_nesting_is_refused_on_writing(self, leaf):
        deep = leaf
        for _ in range(300_000):
            deep = [deep]
        with pytest.raises(ProtocolError, match="nested"):
            dumps(deep)
        while isinstance(deep, list):  # freed one by one: the interpreter's own recursion is not tested here
            deep = deep.pop()

    def test_a_value_inside_itself_is_refused(self):
        loop: list[Any] = []
        loop.append(loop)
        with pytest.raises(ProtocolError):
            dumps(loop)

    @pytest.mark.parametrize("value", [object(), {"a": object()}, {(1, 2): 3}, [10**5000]])
    def test_what_has_no_json_form_is_said_so(self, value):
        with pytest.raises(ProtocolError, match="cannot be sent"):
            dumps(value)

    def test_nan_is_not_turned_into_null(self):
        assert dumps({"a": [math.nan, None, -math.inf]}) == b'{"a":[NaN,null,-Infinity]}'

    def test_dates_and_bytes_have_a_form_on_both_paths(self):
        when = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
        for other in (1, math.nan, "\ud800"):
            read = loads(dumps({"when": when, "raw": b"\xff\x00", "other": other}))
            assert dt.datetime.fromisoformat(read["when"]) == when
            assert read["raw"] == "/wA="

    @quick
    @given(any_json)
    @example([math.nan, None])
    @example({"\udfff": "\ud800", "x": 2**64})
    def test_json_survives(self, value):
        assert same(loads(dumps(value)), value)
        assert same(json.loads(dumps(value)), value)

    @quick
    @given(st.binary(max_size=40) | any_json.map(lambda value: json.dumps(value).encode()))
    def test_any_bytes_are_json_or_a_protocol_error(self, raw):
        try:
            value = loads(raw)
        except ProtocolError:
            return
        assert same(loads(dumps(value)), value)


class TestSigner:
    def test_it_is_the_hmac_of_the_parts_in_hex(self):
        expected = hmac.new(KEY, b"onetwo", hashlib.sha256).hexdigest().encode()
        assert SIGNER.sign([b"one", memoryview(b"two")]) == expected
        assert SIGNER.verify(memoryview(expected), [b"one", b"two"])
        assert not SIGNER.verify(expected, [b"one", b"twp"])
        assert not SIGNER.verify(b"", [b"one", b"two"])
        assert not SIGNER.verify(b"\xff\xfe", [b"one", b"two"])

    def test_signing_does_not_change_the_next_signature(self):
        assert SIGNER.sign([b"one"]) == SIGNER.sign([b"one"])

    def test_without_a_key_there_is_no_signature_and_no_check(self):
        signer = Signer(b"")
        assert signer.sign([b"one"]) == b""
        assert signer.verify(b"anything", [b"one"])
        assert not signer.signs

    def test_the_key_is_in_no_repr(self):
        assert KEY.decode() not in repr(SIGNER)
        assert repr(SIGNER) == "Signer('hmac-sha256', key=...)"

    @pytest.mark.parametrize("scheme", ["hmac-sha1", "hmac-sha512", "hmac-sha3_256", "hmac-blake2b"])
    def test_other_hashes(self, scheme):
        signer = Signer(KEY, scheme)
        assert signer.sign([b"x"]) == hmac.new(KEY, b"x", scheme.removeprefix("hmac-")).hexdigest().encode()

    @pytest.mark.parametrize("scheme", ["", "sha256", "hmac-", "hmac-rot13", "hmac-shake_128", "xmac-sha256"])
    @pytest.mark.parametrize("key", [KEY, b""])
    def test_unknown_schemes_are_refused(self, scheme, key):
        with pytest.raises(ProtocolError, match="unknown"):
            Signer(key, scheme)


class TestFrames:
    @quick
    @given(any_message)
    def test_any_message_survives(self, message):
        read = decode(encode(message, SIGNER), SIGNER, "iopub")
        for name in ("parent_header", "metadata", "content"):
            assert same(getattr(read, name), getattr(message, name))
        assert same(msgspec.structs.asdict(read.header), msgspec.structs.asdict(message.header))
        assert (read.channel, read.buffers, read.identities) == ("iopub", message.buffers, message.identities)

    @quick
    @given(
        st.lists(
            st.sampled_from([DELIMITER, b"{}", HEADER, b"null", b"[]", b"1", b""]) | st.binary(max_size=60)
        ),
        st.booleans(),
    )
    def test_any_frames_are_a_message_or_a_protocol_error(self, frames, views):
        given_frames = [memoryview(frame) for frame in frames] if views else frames
        for signer in (SIGNER, Signer(b"")):
            try:
                message = decode(given_frames, signer, "shell")
            except ProtocolError as error:
                assert error.what  # noqa: PT017 - either end is right
            else:
                assert isinstance(message, Message)
                assert isinstance(message.header.msg_id, str)
                assert isinstance(message.parent_id, str)

    @quick
    @given(st.lists(any_json.map(json.dumps) | st.just(HEADER.decode()), min_size=4, max_size=4))
    def test_any_signed_json_is_a_message_or_a_protocol_error(self, parts):
        frames = signed(*[part.encode() for part in parts])
        with contextlib.suppress(ProtocolError):
            assert decode(frames, SIGNER, "shell").channel == "shell"

    @quick
    @given(any_message, st.data())
    def test_tampering_with_any_byte_is_noticed(self, message, data):
        frames = encode(message, SIGNER)
        at = len(message.identities) + 1
        which = data.draw(st.integers(at, at + 4))
        where = data.draw(st.integers(0, len(frames[which]) - 1))
        changed = bytearray(frames[which])
        changed[where] ^= data.draw(st.integers(1, 255))
        frames[which] = bytes(changed)
        with pytest.raises(ProtocolError, match="signature"):
            decode(frames, SIGNER, "iopub")

    def test_another_key_is_noticed(self):
        with pytest.raises(ProtocolError, match="signature"):
            decode(signed(HEADER, b"{}", b"{}", b"{}", signer=Signer(b"other")), SIGNER, "shell")

    def test_an_unsigned_message_is_refused_where_there_is_a_key(self):
        with pytest.raises(ProtocolError, match="signature"):
            decode(signed(HEADER, b"{}", b"{}", b"{}", signer=Signer(b"")), SIGNER, "shell")

    def test_what_is_wrong_is_named(self):
        with pytest.raises(ProtocolError, match="no delimiter"):
            decode([b"a", b"b"], SIGNER, "shell")
        with pytest.raises(ProtocolError, match="too few frames"):
            decode([DELIMITER, b"sig", HEADER], SIGNER, "shell")
        with pytest.raises(ProtocolError, match="header is not an object"):
            decode(signed(b"[]", b"{}", b"{}", b"{}"), SIGNER, "shell")
        with pytest.raises(ProtocolError, match="msg_type is missing"):
            decode(signed(b'{"msg_id":"a"}', b"{}", b"{}", b"{}"), SIGNER, "shell")
        with pytest.raises(ProtocolError, match="content is not an object"):
            decode(signed(HEADER, b"{}", b"{}", b"[]"), SIGNER, "shell")
        with pytest.raises(ProtocolError, match="not JSON"):
            decode(signed(HEADER, b"{}", b"{}", b"{"), SIGNER, "shell")

    def test_foreign_headers_are_read(self):
        header = (
            b'{"msg_id":12,"msg_type":"status","date":1.5,"version":5,"session":null,"username":"u","x":[1]}'
        )
        message = decode(signed(header, b"null", b"null", b"null"), SIGNER, "iopub")
        assert message.header == Header("12", "status", username="u")
        assert (message.parent_id, message.metadata, message.content) == ("", {}, {})

    def test_the_parent_header_is_kept_as_it_came(self):
        parent = b'{"msg_id":"p","date":5,"subshell_id":"x"}'
        message = decode(signed(HEADER, parent, b"{}", b"{}"), SIGNER, "iopub")
        assert message.parent_header == {"msg_id": "p", "date": 5, "subshell_id": "x"}
        assert message.parent_id == "p"

    def test_buffers_are_the_given_frames_themselves(self):
        buffer = memoryview(bytes(1000))
        message = decode([b"topic", *signed(HEADER, b"{}", b"{}", b"{}"), buffer], SIGNER, "iopub")
        assert message.buffers[0] is buffer
        assert message.identities == (b"topic",)

    def test_a_delimiter_among_the_buffers_is_a_buffer(self):
        message = decode(signed(HEADER, b"{}", b"{}", b"{}", buffers=(DELIMITER,)), SIGNER, "iopub")
        assert message.buffers == (DELIMITER,)


class TestAgainstJupyterClient:
    @pytest.fixture
    def theirs(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pytest.importorskip("jupyter_client.session").Session(key=KEY)

    def test_they_read_ours(self, theirs):
        message = Message(
            "shell",
            Header("id", "execute_request", "s", "u", "2026-01-02T03:04:05.000006Z"),
            {"msg_id": "parent"},
            {"m": [1, None]},
            {"code": "é😀", "nan": math.nan, "lone": "\ud800", "big": 2**70},
            (b"one", b"two"),
            (b"identity",),
        )
        identities, rest = theirs.feed_identities(encode(message, SIGNER))
        read = theirs.deserialize(rest)
        assert identities == [b"identity"]
        assert read["header"]["msg_id"] == "id"
        assert read["header"]["date"] == dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
        assert read["parent_header"] == {"msg_id": "parent"}
        assert read["metadata"] == {"m": [1, None]}
        assert same(read["content"], message.content)
        assert [bytes(buffer) for buffer in read["buffers"]] == [b"one", b"two"]

    def test_we_read_theirs(self, theirs):
        request = theirs.msg("execute_request", {"code": "1"})
        answer = theirs.msg("stream", {"name": "stdout", "text": "é😀\n"}, parent=request, metadata={"a": 1})
        message = decode(theirs.serialize(answer, ident=[b"topic"]), SIGNER, "iopub")
        assert message.header.msg_id == answer["header"]["msg_id"]
        assert message.header.session == theirs.session
        assert message.header.date.endswith("Z")
        assert message.parent_id == request["header"]["msg_id"]
        assert (message.metadata, message.content) == ({"a": 1}, answer["content"])
        assert message.identities == (b"topic",)
