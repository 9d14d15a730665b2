"""The pages that the gateway serves from its own host; nothing comes from elsewhere."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parent.parent / "static"


def add_pages(app: FastAPI) -> None:
    """Serve the market page at `/`, the API reference at `/docs`, their files at `/static`."""

    async def market_page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    async def reference_page() -> FileResponse:
        return FileResponse(STATIC / "reference.html", headers={"Cache-Control": "no-cache"})

    for path, page in (("/", market_page), ("/docs", reference_page)):
        app.add_api_route(path, page, methods=["GET", "HEAD"], include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
