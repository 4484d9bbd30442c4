"""The packaged calls are ones that the providers accept, and of every kind that is promised."""

import json
from collections import Counter
from itertools import islice

from tiermesh_sidecar.demo.providers.anthropic import AnthropicProvider
from tiermesh_sidecar.demo.providers.openai import OpenAIProvider
from tiermesh_sidecar.demo.providers.reply import Call, StreamReply
from tiermesh_sidecar.demo.workload import DemoCall, endless, load

KINDS = {
    "chat": 20,
    "stream": 10,
    "json": 3,
    "tools": 3,
    "image": 1,
    "step": 4,
    "restricted": 2,
    "named": 3,
    "refused": 2,
    "task": 1,
    "messages": 4,
    "completions": 1,
}


def test_every_kind_of_call_is_there() -> None:
    counted = Counter(call.kind for call in load())
    assert set(counted) == set(KINDS)
    assert all(counted[kind] >= least for kind, least in KINDS.items())
    assert sum(counted.values()) >= 60


def test_ids_are_unique_and_sources_named() -> None:
    calls = load()
    assert len({call.id for call in calls}) == len(calls)
    assert {call.source for call in calls} == {"gsm8k", "mmlu", "tiermesh"}


def test_the_providers_accept_every_call_once_its_model_is_replaced() -> None:
    for number, call in enumerate(load(), 1):
        reply = _provider(call).answer(
            Call(
                method="POST",
                path=call.path,
                headers={"content-type": "application/json", **call.headers},
                body=json.dumps({**call.body, "model": "m"}).encode(),
                number=number,
                now=1,
            )
        )
        assert isinstance(reply, StreamReply) == call.stream


def _provider(call: DemoCall) -> OpenAIProvider | AnthropicProvider:
    kind = AnthropicProvider if call.kind == "messages" else OpenAIProvider
    return kind(models=("m",), key=None)


def test_every_call_has_words_to_show() -> None:
    assert all(len(call.prompt) > 10 and "\n" not in call.prompt for call in load())


def test_each_pass_sends_every_call_in_an_order_of_its_own() -> None:
    calls = load()
    sent = [call.id for call in islice(endless(calls, 1), 2 * len(calls))]
    first, second = sent[: len(calls)], sent[len(calls) :]
    assert sorted(first) == sorted(second) == sorted(call.id for call in calls)
    assert first != second
    assert first == [call.id for call in islice(endless(calls, 1), len(calls))]
    assert first != [call.id for call in islice(endless(calls, 2), len(calls))]
