"""Fake words: deterministic, of realistic length, cut where a model would be."""

from hypothesis import given
from hypothesis import strategies as st

from tiermesh_sidecar.demo.providers.generation import Tool, Wish, say
from tiermesh_sidecar.demo.providers.text import cut, names_tool, pieces, token_count, windows


@given(st.text())
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text


@given(st.text(), st.integers(1, 20))
def test_windows_join_to_the_text(text: str, size: int) -> None:
    found = windows(text, size)
    assert "".join(found) == text
    assert all(len(part) <= size for part in found)


@given(st.text(), st.integers(0, 30))
def test_a_limit_is_kept(text: str, limit: int) -> None:
    kept, ended, _ = cut(text, limit)
    assert text.startswith(kept)
    assert token_count(kept) <= limit
    assert (ended == "length") == (token_count(text) > limit)


def test_the_first_stop_sequence_ends_the_text() -> None:
    assert cut("one two three", None, ("three", "two")) == ("one ", "stop_sequence", "two")
    assert cut("one two three", 1, ("two",)) == ("one ", "stop_sequence", "two")


def test_answers_differ_by_prompt_model_and_choice() -> None:
    def wish(model: str, prompt: str) -> Wish:
        return Wish(model=model, prompt=prompt, last_user=prompt)

    one = say(wish("m", "a"))
    assert one == say(wish("m", "a"))
    others = {say(wish("m", "b")).text, say(wish("n", "a")).text, say(wish("m", "a"), 1).text}
    assert one.text not in others
    assert len(others) == 3
    assert 24 <= one.tokens <= 220


def test_some_answers_hold_characters_of_several_bytes() -> None:
    texts = [say(Wish(model="m", prompt=str(n), last_user="")).text for n in range(20)]
    assert any(not text.isascii() for text in texts)


def test_a_tool_is_meant_by_a_long_word_of_its_name() -> None:
    assert names_tool("What is the Weather like?", "get_weather")
    assert not names_tool("Can I get a raise?", "get_weather")


def test_a_forced_tool_is_called_whatever_the_prompt() -> None:
    tools = (Tool(name="first", parameters={}), Tool(name="second", parameters={}))
    wish = Wish(model="m", prompt="x", last_user="x", tools=tools, tool="=second")
    assert say(wish).tool == tools[1]
    assert say(Wish(model="m", prompt="x", last_user="x", tools=tools)).tool is None
    assert (
        say(Wish(model="m", prompt="", last_user="", tools=tools, tool="required")).tool == tools[0]
    )
    assert say(Wish(model="m", prompt="", last_user="first", tools=tools, tool="none")).tool is None
