"""What the tests of model-driven supervisors share: servers that play a model, and the model that asks them."""

import pytest
from tests.llm.chat_server import ChatServer


@pytest.fixture
def serve(monkeypatch):
    """Start a ChatServer with a script; it ends with the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers = []

    def start(script):
        servers.append(ChatServer(script).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__()


@pytest.fixture
def chat():
    """The model that a server plays."""

    def model(server, **settings):
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        return OpenAIChatModel("m", provider=OpenAIProvider(base_url=server.url, api_key="k"), settings=settings)

    return model
