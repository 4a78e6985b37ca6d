"""Jobs over HTTP: for schedulers outside, and for a look at what the clock did."""

from typing import Annotated

from fastapi import Path, Request

from api.dependencies import Caller, Now, Session
from api.routes import Router
from api.state import state_of
from integrations.email import make_sender
from schemas.jobs import JobList, JobRunOut, RunIn
from services import jobs
from services.access import Actor

router = Router("/v1/jobs", tags=["jobs"])

JobName = Annotated[str, Path(max_length=40, description="Name in the timetable", examples=["check-ins.dispatch"])]


@router.post("/{job}/runs", status_code=201)
async def run_job(job: JobName, form: RunIn, request: Request, actor: Caller, now: Now) -> JobRunOut:
    """Run a job for the caller's clinic, now; safe to repeat."""
    return await jobs.start(actor, job, _reach(request, actor), at=now, dry_run=form.dry_run)


@router.get("")
async def list_jobs(session: Session, actor: Caller, now: Now) -> JobList:
    """Give the timetable, each job's last run, and what waits."""
    return JobList(items=await jobs.browse(session, actor, at=now), next_cursor=None)


def _reach(request: Request, actor: Actor) -> jobs.Reach:
    state = state_of(request)
    assert state.sessions is not None, "the caller was read from the database"
    settings = state.settings
    return jobs.Reach(
        sweeper=state.sessions,
        worker=state.sessions,
        sender=make_sender(
            None if settings.smtp_url is None else settings.smtp_url.get_secret_value(),
            sender=settings.mail_from,
            folder=settings.data_dir / "mail",
        ),
        public_url=settings.public_url,
        clinic_id=actor.clinic_id,
    )
