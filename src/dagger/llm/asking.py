"""Asking: one request to a model, with what it costs and how it can fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.exceptions import (
    ModelHTTPError,
    ModelQuotaExceededError,
    ModelRequestRejectedError,
    UnexpectedModelBehavior,
    UserError,
)
from pydantic_ai.messages import ModelMessage, ModelResponse, PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta
from pydantic_ai.models import Model, ModelRequestParameters, infer_model
from pydantic_ai.settings import ModelSettings

from dagger.core.errors import NonRetryable
from dagger.llm.conversation import read, written
from dagger.spec.context import Context

_LATER = frozenset((408, 409, 425, 429))
"""The HTTP statuses below 500 under which the same request may go better another time."""


class Asking:
    """How a model is asked."""

    def __init__(
        self, model: Model | str, settings: ModelSettings | None, *, reserve_tokens: int | None, stream: bool
    ) -> None:
        given: ModelSettings = settings or {}
        self.model = model
        self._settings = given
        self._reserved = given.get("max_tokens", 0) if reserve_tokens is None else reserve_tokens
        self._stream = stream

    async def answer(
        self, ctx: Context, messages: Sequence[ModelMessage], parameters: ModelRequestParameters, ordinal: int
    ) -> ModelResponse:
        """The model's answer, which the journal has from the moment that it is there: it is paid for once.

        `ordinal`: the request's place in the turn, from 1. Raises NonRetryable for what another try will not mend.
        """
        known = await ctx.memo(f"request:{ordinal}", self._asked, ctx, messages, parameters, ordinal)
        (response,) = read(known)
        assert isinstance(response, ModelResponse)
        return response

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
        response = stream.get()
    if response.state != "complete":
        message = f"model {model.model_name!r} broke off in the middle of its answer"
        raise UnexpectedModelBehavior(message)
    return response


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
    """Raise NonRetryable for an answer that ends before its end: it is no result, and must not become one."""
    if response.finish_reason in ("length", "content_filter"):
        why = {"length": "it reached the model's `max_tokens`", "content_filter": "the provider's filter cut it off"}
        message = f"model {model.model_name!r}: its answer is not whole: {why[response.finish_reason]}"
        raise NonRetryable(message)
