from collections.abc import AsyncIterator

import anthropic
import openai
import pytest

from tiermesh_sidecar.demo.providers import Dialect, FakeProvider

KEY = "sk-fake-0123456789abcdef"


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    """OpenAI's dialect."""
    async with FakeProvider(model="chatty", embedding_models=["vectors"], key=KEY) as provider:
        yield provider


@pytest.fixture
async def sdk(fake: FakeProvider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=fake.base_url, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
async def fake_messages() -> AsyncIterator[FakeProvider]:
    """Anthropic's dialect."""
    async with FakeProvider(model="talker", key=KEY, dialect=Dialect.ANTHROPIC) as provider:
        yield provider


@pytest.fixture
async def messages_sdk(fake_messages: FakeProvider) -> AsyncIterator[anthropic.AsyncAnthropic]:
    url = fake_messages.base_url
    async with anthropic.AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0) as client:
        yield client
