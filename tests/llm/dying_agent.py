"""A run that a model drives, in a process of its own: python dying_agent.py STORE URL [EVENT COUNT].

It kills itself when the COUNT-th event of that name (from 1) is in the journal.
"""

import asyncio
import os
import signal
import sys
from collections import Counter

from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from dagger import AgentDriven, Dagger
from dagger.llm import ModelSupervisor


def application(store, url):
    app = Dagger(store)

    @app.action
    async def search(text: str) -> str:
        return text.upper()

    model = OpenAIChatModel("m", provider=OpenAIProvider(base_url=url, api_key="k"))
    app.register_action(ModelSupervisor(model, name="agent"))
    return app


async def main(store, url, event="", count=1):
    seen = Counter()
    async with application(store, url) as app:
        run = await app.start(AgentDriven("find it", supervisor="agent"), run_id="r")
        async for recorded in run.events():
            seen[recorded.type] += 1
            if seen[event] == int(count):
                os.kill(os.getpid(), signal.SIGKILL)
        await run.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
