"""Suspended code goes on in the task that awaits it, and in its own context."""

import asyncio
import contextvars

import pytest

from dagger.engine.trampoline import call, go_on, returned

WORD = contextvars.ContextVar("word", default="outer")


class Code:
    """Code that was begun outside of any task, as a worker does."""

    step, tenure = "s", None

    def __init__(self, coroutine):
        self.context = contextvars.copy_context()
        self.coroutine = coroutine
        self.yielded = self.context.run(coroutine.send, None)


def run(function):
    async def main():
        code = Code(function())
        return await go_on(code, code.coroutine, lambda: None), WORD.get()

    return asyncio.run(main())


def test_its_context_variables_stay_in_it():
    """Before and after it was suspended."""

    async def act():
        WORD.set("inner")
        await asyncio.sleep(0)
        seen = WORD.get()
        WORD.set("later")
        await asyncio.sleep(0)
        return seen, WORD.get(), asyncio.current_task() is not None

    assert run(act) == (("inner", "later", True), "outer")


def test_what_is_thrown_at_the_task_reaches_the_code():
    """A cancel of the worker's task is the code's to answer."""

    async def main():
        async def act():
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                return "cleaned up"

        code = Code(act())
        task = asyncio.ensure_future(_awaiting(code))
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert asyncio.run(main()) == "cleaned up"


async def _awaiting(code):
    return await go_on(code, code.coroutine, lambda: None)


def test_a_generator_exit_of_its_own_ends_no_worker():
    """It is one more exception of the code's."""

    async def act():
        await asyncio.sleep(0)
        raise GeneratorExit

    with pytest.raises(RuntimeError, match="the action raised GeneratorExit"):
        run(act)


def test_a_closed_worker_closes_the_code():
    """The event loop has let go of it."""
    ended = []

    async def act():
        try:
            await Forever()
        finally:
            ended.append(True)

    code = Code(act())
    outer = _awaiting(code)
    outer.send(None)
    with pytest.raises(GeneratorExit):
        outer.throw(GeneratorExit)
    assert ended == [True]


class Forever:
    def __await__(self):
        yield


def test_plain_functions_are_called_as_coroutines():
    """What they return is awaited, if it can be."""

    async def later():
        return 2

    async def main():
        return await call(lambda x: x, {"x": 1}), await call(later, {}), await returned(3)

    assert asyncio.run(main()) == (1, 2, 3)
