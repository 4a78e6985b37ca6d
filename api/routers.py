"""Every router of the house, in the order of the documentation."""

from fastapi import APIRouter

from api import (
    alerts,
    assessments,
    authentication,
    care_team,
    check_ins,
    clinics,
    consents,
    episodes,
    events,
    exercises,
    goals,
    instruments,
    invitations,
    jobs,
    licenses,
    operations,
    outcomes,
    patients,
    programs,
    progress,
    red_flag_screens,
    reports,
    sessions,
    therapists,
    today,
    worklist,
)

COMPLETE = True
"""Whether every operation of the access table has its route; then a row without one stops the server, too."""

ROUTERS: tuple[APIRouter, ...] = (
    authentication.router,
    invitations.router,
    clinics.router,
    therapists.router,
    licenses.router,
    patients.router,
    care_team.router,
    consents.router,
    episodes.router,
    assessments.router,
    goals.router,
    exercises.router,
    instruments.router,
    outcomes.router,
    red_flag_screens.router,
    programs.router,
    sessions.router,
    check_ins.router,
    alerts.router,
    today.router,
    worklist.router,
    events.router,
    progress.router,
    reports.router,
    jobs.router,
    operations.router,
)
