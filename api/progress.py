"""Progress over HTTP: series, and the charts made of them."""

from datetime import date
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import Query, Response

from api.dependencies import Caller, Now, Session
from api.negotiation import JSON, PNG, SVG, VEGA_LITE, Accept, Drawn, choose
from api.routes import Router
from schemas.base import CODE
from schemas.progress import ChartName, Progress
from services import charts, documents, progress

router = Router("/v1/patients/{patient_id}/progress", tags=["progress"])

From = Annotated[
    date | None,
    Query(alias="from", description="First local day; by default 27 days before the last", examples=["2026-02-02"]),
]
To = Annotated[
    date | None,
    Query(
        description="Last local day, included; by default the patient's today. At most 400 days",
        examples=["2026-03-01"],
    ),
]
OfEpisode = Annotated[UUID | None, Query(description="By default the newest episode")]

PICTURES: dict[str, documents.Form] = {SVG: "svg", PNG: "png"}

_CHARTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The chart in the form that Accept asks for",
        "content": {
            VEGA_LITE: {"schema": {"type": "object", "description": "A Vega-Lite specification with its data inline"}},
            JSON: {"schema": {"type": "object", "description": "The same specification"}},
            SVG: {"schema": {"type": "string"}},
            PNG: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.get("", response_model=Progress)
async def get_progress(
    session: Session,
    actor: Caller,
    patient_id: UUID,
    now: Now,
    from_: From = None,
    to: To = None,
    episode_id: OfEpisode = None,
) -> Progress:
    """Tell how a patient is doing in one episode: series by day, outcomes against meaningful change, adherence."""
    return await progress.get(session, actor, patient_id, first=from_, last=to, episode_id=episode_id, at=now)


@router.get("/charts/{name}", response_class=Response, responses=_CHARTS)
async def get_progress_chart(
    session: Session,
    actor: Caller,
    patient_id: UUID,
    name: ChartName,
    now: Now,
    accept: Accept,
    from_: From = None,
    to: To = None,
    episode_id: OfEpisode = None,
    instrument: Annotated[
        str | None,
        Query(
            max_length=40,
            pattern=CODE,
            description="For outcomes: whose scores; by default the first instrument's",
        ),
    ] = None,
) -> Response:
    """Draw progress as a chart: a Vega-Lite specification, SVG or PNG, by Accept."""
    form = choose(accept, [VEGA_LITE, JSON, *PICTURES])
    made = await progress.get(session, actor, patient_id, first=from_, last=to, episode_id=episode_id, at=now)
    spec = charts.spec(name, made, instrument=instrument)
    headers = {"Vary": "Accept"}
    if form in PICTURES:
        return Drawn(partial(documents.chart, spec, PICTURES[form]), form, headers)
    return Response(orjson.dumps(spec), media_type=form, headers=headers)
