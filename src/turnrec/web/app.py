"""The API as one application: its routes behind a gate. It decides nothing.

The same routes answer on the control socket and on the port; who may what is the gate's business.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse

from turnrec.web import problems
from turnrec.web.asking import AnyKey
from turnrec.web.gate import Admission, Gate
from turnrec.web.pages import page_routes

_DESCRIPTION = """Recording control for voice bots on Asterisk.

A 200 says that it has happened: Asterisk has confirmed, and turnrec has looked. Every error is
problem details (RFC 9457) with a stable `id`. Give an API key: `Authorization: Bearer trk_...`.
"""


def create_app(routers: Iterable[APIRouter], version: str = "0") -> FastAPI:
    """Build the application of these routes, and the page at `/`."""
    app = FastAPI(
        title="turnrec",
        version=version,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        responses=problems.PROBLEM_RESPONSES,
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )
    problems.install(app)

    @app.get("/v1/openapi.json", tags=["server"], include_in_schema=False)
    async def contract(_access: AnyKey) -> JSONResponse:
        """This API's contract: OpenAPI 3.1."""
        return JSONResponse(_with_security(app.openapi()))

    for router in (*routers, page_routes()):
        app.include_router(router)
    return app


def guarded(app: FastAPI, admission: Admission) -> Gate:
    """Put a gate before it."""
    return Gate(app, admission)


def _with_security(contract: dict[str, object]) -> dict[str, object]:
    schemes = {"key": {"type": "http", "scheme": "bearer"}}
    components = contract.get("components")
    shared = components if isinstance(components, dict) else {}
    return {
        **contract,
        "components": {**shared, "securitySchemes": schemes},
        "security": [{"key": []}],
    }
