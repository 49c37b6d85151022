"""Architectures and devices over HTTP."""

from typing import Annotated

from fastapi import APIRouter, HTTPException
from fastapi import Path as InPath

from nas.jobspec.schema import json_schema
from nas.service.access import READ, Store
from nas.service.schemas import Architecture, Device, Plain

router = APIRouter()


@router.get("/architectures/{key}", dependencies=[READ], tags=["architectures"])
def architecture(key: Annotated[str, InPath(pattern="^[0-9a-f]{64}$")], store: Store) -> Architecture:
    """A network by its key, whichever job found it."""
    found = store.architectures([key])
    if key not in found:
        raise HTTPException(404, f"no architecture {key}")
    return Architecture.model_validate(found[key])


@router.get("/devices", dependencies=[READ], tags=["devices"])
def devices(store: Store) -> list[Device]:
    """All devices that measured something, the one seen last first."""
    return [Device.model_validate(device) for device in store.devices()]


@router.get("/schema", dependencies=[READ], tags=["jobs"])
def schema() -> Plain:
    """The JSON Schema of job files."""
    return json_schema()
