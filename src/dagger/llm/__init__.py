"""Supervisors that a language model drives: `pip install 'dagger-flow[llm]'`."""

try:
    import pydantic_ai as _pydantic_ai
except ModuleNotFoundError as error:
    message = "dagger.llm needs pydantic-ai, which comes with the extra: pip install 'dagger-flow[llm]'"
    raise ModuleNotFoundError(message, name=error.name) from error

from dagger.llm.supervisor import ModelSupervisor

__all__ = ["ModelSupervisor"]

del _pydantic_ai
