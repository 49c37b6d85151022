"""Bodies of requests, counted while they arrive: one that is too large is refused before it is held."""

import tempfile
from pathlib import Path
from typing import Any

from fastapi import Depends, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

ORDER_BYTES = 16 << 10
"""Largest body of a request that says no more than what is to be done."""


async def read_text(request: Request, most: int) -> str:
    """The body as UTF-8 text.

    Raises:
        HTTPException: 413 when it has more than `most` bytes, 400 when it is no UTF-8.
    """
    content = bytearray()
    async for part in request.stream():
        content += part
        _count(len(content), most)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise HTTPException(400, f"the body is not UTF-8 text: {error.reason} at byte {error.start}") from None


def reading(model: type[BaseModel]) -> Any:
    """A dependency that reads a JSON body of a few values, after those that see who asks.

    A parameter that FastAPI itself takes from the body is read whole before anybody is asked for a token.

    Args:
        model: what the body says; an empty one says nothing.
    """

    async def read(request: Request) -> BaseModel:
        text = await read_text(request, ORDER_BYTES)
        try:
            return model.model_validate_json(text or "{}")
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in found]) from None

    return Depends(read)


def described(model: type[BaseModel]) -> dict[str, Any]:
    """What OpenAPI is told of such a body."""
    return {"requestBody": {"content": {"application/json": {"schema": model.model_json_schema()}}}}


async def save(request: Request, folder: Path, most: int) -> Path:
    """The body as a new file in a folder, under a name of ours.

    Raises:
        HTTPException: 413 when it has more than `most` bytes, 400 when it is empty; there is no file then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".onnx", delete=False) as file:
        path, size = Path(file.name), 0
        try:
            async for part in request.stream():
                size += len(part)
                _count(size, most)
                file.write(part)
            if not size:
                raise HTTPException(400, "the body is empty; send the bytes of an ONNX file")
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return path


def _count(size: int, most: int) -> None:
    if size > most:
        raise HTTPException(413, f"the body has more than {most:,} bytes, which is the most that is taken")
