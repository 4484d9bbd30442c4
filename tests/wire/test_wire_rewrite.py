"""Law 9 at the byte: a routed body changes in the model's value and the usage option only."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsontext import spaces, values

from tiermesh_sidecar.core.features import Endpoint
from tiermesh_sidecar.wire.body import JsonObject, parse_object
from tiermesh_sidecar.wire.rewrite import must_ask_usage, rewrite

CHAT = Endpoint.CHAT_COMPLETIONS


def parsed(raw: bytes) -> JsonObject:
    body = parse_object(raw)
    assert isinstance(body, JsonObject), body
    return body


def rewritten(raw: bytes, model: str = "new", endpoint: Endpoint = CHAT) -> bytes:
    body = parsed(raw)
    return rewrite(body, model=model, ask_usage=must_ask_usage(body, endpoint))


def test_only_the_models_bytes_change() -> None:
    raw = (
        b'{ "temperature": 1.0,"seed":18446744073709551616,\t"mod\\u0065l" : "ol\\u0064" ,\r\n'
        b'"messages":[{"role":"user","content":"\\ud800 \\/ \xc3\xa4 \\"model\\": \\"x\\""}],'
        b'"x":{"model":"keep"},"top_p":1e-7,"logit_bias":{"50256":-0},"unknown":null }\n'
    )
    assert rewritten(raw) == raw.replace(b'"ol\\u0064"', b'"new"')


@pytest.mark.parametrize("model", ['a"b\\c', "Qwen/Qwen2.5", "ä€😀", "tab\there", "x" * 500])
def test_the_new_name_is_escaped(model: str) -> None:
    out = rewritten(b'{"model":"old","n":1.0}', model)
    assert json.loads(out) == {"model": model, "n": 1.0}
    assert out.endswith(b',"n":1.0}')


def test_a_body_that_names_the_model_already_is_returned_as_it_is() -> None:
    raw = b'{"model":"n\\u0065w"}'
    assert rewritten(raw) is raw


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"model":"m","stream":true}',
         b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'),
        (b'{ "stream" : true , "model" : "m" } ',
         b'{ "stream" : true , "model" : "m","stream_options":{"include_usage":true} } '),
        (b'{"model":"m","stream_options": null ,"stream":true}',
         b'{"model":"m","stream_options": {"include_usage":true} ,"stream":true}'),
        (b'{"model":"m","stream_options":{},"stream":true}',
         b'{"model":"m","stream_options":{"include_usage":true},"stream":true}'),
        (b'{"model":"m","stream_options":{ },"stream":true}',
         b'{"model":"m","stream_options":{"include_usage":true },"stream":true}'),
        (b'{"model":"m","stream_options":{"x":1.0},"stream":true}',
         b'{"model":"m","stream_options":{"include_usage":true,"x":1.0},"stream":true}'),
        (b'{"model":"m","stream_options":{"include_usage" : false},"stream":true}',
         b'{"model":"m","stream_options":{"include_usage" : true},"stream":true}'),
        (b'{"model":"m","stream_options":{"a":"}","include_\\u0075sage":null},"stream":true}',
         b'{"model":"m","stream_options":{"a":"}","include_\\u0075sage":true},"stream":true}'),
        (b'{"model":"m","stream_options":{"include_usage":true,"include_usage":false},"stream":true}',
         b'{"model":"m","stream_options":{"include_usage":true,"include_usage":true},"stream":true}'),
    ],
)  # fmt: skip
def test_usage_is_asked_for_in_the_fewest_bytes(before: bytes, after: bytes) -> None:
    assert must_ask_usage(parsed(before), CHAT)
    assert must_ask_usage(parsed(before), Endpoint.COMPLETIONS)
    assert rewritten(before, "m") == after
    assert not must_ask_usage(parsed(after), CHAT)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"model":"m"}',
        b'{"model":"m","stream":false}',
        b'{"model":"m","stream":null}',
        b'{"model":"m","stream":"true"}',
        b'{"model":"m","stream":1}',
        b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}',
        b'{"model":"m","stream":true,"stream_options":{"include_usage":"yes"}}',
        b'{"model":"m","stream":true,"stream_options":[]}',
        b'{"model":"m","stream":true,"stream_options":"x"}',
    ],
)
def test_usage_is_not_asked_for_where_there_is_no_need_or_the_provider_must_refuse(
    raw: bytes,
) -> None:
    assert not must_ask_usage(parsed(raw), CHAT)
    assert rewritten(raw, "m") == raw


@pytest.mark.parametrize("endpoint", [Endpoint.MESSAGES, Endpoint.EMBEDDINGS, Endpoint.OTHER])
def test_other_operations_have_no_usage_option(endpoint: Endpoint) -> None:
    assert not must_ask_usage(parsed(b'{"model":"m","stream":true}'), endpoint)


OPTIONS = [
    None, "null", "{}", "{ }", '{"include_usage":false}', '{"include_usage":true}',
    '{"a":[1.0,{}], "include_usage" :null }', '{"include_obfuscation":true}',
]  # fmt: skip


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, str | None]:
    """A streamed chat in any spelling, with its `stream_options` as written."""
    options = draw(st.sampled_from(OPTIONS))
    pairs = [
        (draw(st.sampled_from(['"model"', r'"\u006dodel"', r'"mode\u006C"'])), '"old"'),
        ('"stream"', draw(st.sampled_from(["true", "true", "false", "null"]))),
    ]
    if options is not None:
        pairs.append(('"stream_options"', options))
    names = draw(st.lists(st.sampled_from(['"a"', '"b"', r'"\""', '"\u00e4"']), unique=True))
    pairs += [(name, draw(values)) for name in names]
    pairs = draw(st.permutations(pairs))
    text = draw(spaces) + "{"
    text += ",".join(
        draw(spaces) + k + draw(spaces) + ":" + draw(spaces) + v + draw(spaces) for k, v in pairs
    )
    return (text + "}" + draw(spaces)).encode(), options


@given(bodies())
@settings(max_examples=200)
def test_nothing_but_the_two_values_changes_whatever_the_spelling(
    case: tuple[bytes, str | None],
) -> None:
    raw, _ = case
    body = parsed(raw)
    ask = must_ask_usage(body, CHAT)
    out = rewrite(body, model="new", ask_usage=ask)
    after = parsed(out)
    expected = dict(body.value) | {"model": "new"}
    if ask:
        options = body.value.get("stream_options")
        expected["stream_options"] = {
            **(options if isinstance(options, dict) else {}),
            "include_usage": True,
        }
    assert after.value == expected
    # Outside the two values the bytes are the same ones in the same order.
    assert _outside(after, ask) == _outside(body, ask)


def _outside(body: JsonObject, ask: bool) -> bytes:
    spans = [body.spans["model"]]
    if ask and "stream_options" in body.spans:
        spans.append(body.spans["stream_options"])
    raw = body.raw
    for start, end in sorted(spans, reverse=True):
        raw = raw[:start] + b"#" + raw[end:]
    return raw.replace(b',"stream_options":#', b"")


@given(bodies())
@settings(max_examples=100)
def test_members_beside_the_option_keep_their_bytes(case: tuple[bytes, str | None]) -> None:
    raw, options = case
    body = parsed(raw)
    if options is None or not must_ask_usage(body, CHAT):
        return
    out = parsed(rewrite(body, model="old", ask_usage=True))
    start, end = out.spans["stream_options"]
    written = out.raw[start:end].decode()
    # What is left once the added pair, or the changed word, is taken back.
    candidates = {
        written.replace('"include_usage":true,', "", 1),
        written.replace('"include_usage":true', "", 1),
        written.replace(":true", ":false", 1),
        written.replace(":true ", ":null ", 1),
        "null",
    }
    assert options in candidates
