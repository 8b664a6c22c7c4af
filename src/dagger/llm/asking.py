"""Asking: one request to a model, with what it costs and how it can fail."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic_ai import models
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.exceptions import (
    ModelHTTPError,
    ModelQuotaExceededError,
    ModelRequestRejectedError,
    UnexpectedModelBehavior,
    UserError,
)
from pydantic_ai.messages import ModelMessage, ModelResponse, PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta
from pydantic_ai.models import Model, ModelRequestParameters, infer_model, known_model_names, parse_model_id
from pydantic_ai.providers import infer_provider_class
from pydantic_ai.settings import ModelSettings

from dagger.core.errors import NonRetryable, RegistryError, nearest
from dagger.llm.conversation import read, written
from dagger.spec.context import Context

_LATER = frozenset((408, 409, 425, 429))
"""The HTTP statuses below 500 under which the same request may go better another time."""


class Asking:
    """How a model is asked."""

    def __init__(
        self, model: Model | str, settings: ModelSettings | None, *, reserve_tokens: int | None, stream: bool
    ) -> None:
        """Raises RegistryError for what cannot be: better than when a run first asks."""
        given: ModelSettings = {} if settings is None else settings
        _require_known(model)
        _require_settings(given)
        self.model = model
        self._settings = given
        self._reserved = given.get("max_tokens", 0) if reserve_tokens is None else reserve_tokens
        _require_tokens("settings: max_tokens" if reserve_tokens is None else "reserve_tokens", self._reserved)
        self._stream = stream

    async def answer(
        self, ctx: Context, messages: Sequence[ModelMessage], parameters: ModelRequestParameters, ordinal: int
    ) -> tuple[ModelResponse, bool]:
        """The model's answer, and whether it was asked now: the journal has each from the moment that it is there.

        `ordinal`: the request's place in the turn, from 1. Raises NonRetryable for what another try will not mend.
        """
        is_new = False

        async def asked() -> list[Any]:
            nonlocal is_new
            is_new = True
            return await self._asked(ctx, messages, parameters, ordinal)

        (response,) = read(await ctx.memo(f"request:{ordinal}", asked))
        assert isinstance(response, ModelResponse)
        return response, is_new

    async def _asked(
        self, ctx: Context, messages: Sequence[ModelMessage], parameters: ModelRequestParameters, ordinal: int
    ) -> list[Any]:
        await ctx.reserve_tokens(self._reserved)
        try:
            model = infer_model(self.model)
            async with model:  # its connections are those of this event loop
                settings = self._settings_for(model, f"{ctx.idempotency_key}/{ordinal}")
                if self._stream:
                    response = await _streamed(ctx, model, messages, settings, parameters)
                else:
                    response = await model_request(
                        model, messages, model_settings=settings, model_request_parameters=parameters
                    )
        except (UserError, ImportError) as error:
            message = f"model {self.model!r} cannot be asked: {error}"
            raise NonRetryable(message) from error
        except (ModelHTTPError, ModelRequestRejectedError, ModelQuotaExceededError) as error:
            if not _is_hopeless(error):
                raise
            message = f"model {error.model_name!r} refused the request for good: {error}"
            raise NonRetryable(message) from error
        _count(ctx, model, response)
        _require_whole(model, response)
        return written([response])

    def _settings_for(self, model: Model, idempotency_key: str) -> ModelSettings:
        """With a key by which a request that is made again is known; and without retries but those of the step."""
        own: dict[str, Any] = {"max_retries": 0, **(model.settings or {}), **self._settings}
        own["extra_headers"] = {"Idempotency-Key": idempotency_key, **own.get("extra_headers", {})}
        ignored = model.unsupported_settings - self._settings.keys()  # of what nobody asked for, nobody need be warned
        return cast("ModelSettings", {name: value for name, value in own.items() if name not in ignored})


async def _streamed(
    ctx: Context,
    model: Model,
    messages: Sequence[ModelMessage],
    settings: ModelSettings,
    parameters: ModelRequestParameters,
) -> ModelResponse:
    """The whole answer; its text is shown piece by piece as it comes."""
    asked = model_request_stream(model, messages, model_settings=settings, model_request_parameters=parameters)
    async with asked as stream:
        async for event in stream:
            if text := _text_of(event):
                ctx.emit({"text": text})
        return stream.get()


def _text_of(event: object) -> str:
    """The text that an event of a stream adds to the answer."""
    if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
        return event.part.content
    if isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
        return event.delta.content_delta
    return ""


def _is_hopeless(error: ModelHTTPError | ModelRequestRejectedError | ModelQuotaExceededError) -> bool:
    """Whether the same request would be refused again, however often it is made."""
    if isinstance(error, ModelRequestRejectedError | ModelQuotaExceededError):
        return True
    return 400 <= error.status_code < 500 and error.status_code not in _LATER  # noqa: PLR2004 - HTTP's client errors


def _count(ctx: Context, model: Model, response: ModelResponse) -> None:
    usage = response.usage
    if usage.unmeasured_requests or not usage.total_tokens:
        ctx.log.warning("model %r does not say what it used: max_tokens cannot count it", model.model_name)
    ctx.spend_tokens(usage.total_tokens)


def _require_whole(model: Model, response: ModelResponse) -> None:
    """Raise for an answer that ends before its end: it is no result, and must not become one.

    NonRetryable where the same request would end there again.
    """
    if response.finish_reason in ("length", "content_filter"):
        why = {"length": "it reached the model's `max_tokens`", "content_filter": "the provider's filter cut it off"}
        message = f"model {model.model_name!r}: its answer is not whole: {why[response.finish_reason]}"
        raise NonRetryable(message)
    if response.finish_reason == "error" or response.state != "complete":
        message = f"model {model.model_name!r} broke off in the middle of its answer"
        raise UnexpectedModelBehavior(message)


def _require_known(model: object) -> None:
    """Raise RegistryError for what is no model, as far as can be told without its key and its packages."""
    if isinstance(model, Model) or model == "test":
        return
    if not isinstance(model, str):
        message = f"a model is pydantic-ai's name for it or a Model, not {model!r:.80}"
        raise RegistryError(message)
    provider, _ = parse_model_id(model)
    try:
        infer_provider_class(provider or "")
    except ValueError:
        near = nearest(model, known_model_names()) or "; a name is 'provider:model', as 'openai-chat:gpt-5'"
        message = f"pydantic-ai knows no model {model!r:.80}{near}"
        raise RegistryError(message) from None
    except ImportError:
        pass  # known, and told when it is asked: who only looks at runs need not have its packages


def _require_settings(settings: object) -> None:
    """Raise RegistryError for what is no setting of pydantic-ai's; those of one provider begin with its name."""
    if not isinstance(settings, Mapping):
        message = f"settings are a dict of pydantic-ai's model settings, not {settings!r:.80}"
        raise RegistryError(message)
    known = ModelSettings.__annotations__
    own = tuple(f"{module.name}_" for module in pkgutil.iter_modules(models.__path__))
    for name in settings:
        if name not in known and not (isinstance(name, str) and name.startswith(own)):
            near = nearest(str(name), known) or f"; there are: {', '.join(known)}"
            message = f"settings: there is no {name!r:.80}{near}"
            raise RegistryError(message)


def _require_tokens(what: str, count: object) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        message = f"{what} is a whole number of at least 0, not {count!r:.80}"
        raise RegistryError(message)
