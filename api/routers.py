"""Every router of the house, in the order of the documentation."""

from fastapi import APIRouter

from api import authentication, clinics, exercises, instruments, invitations, licenses, operations, therapists

COMPLETE = False
"""Whether every operation of the access table has its route; then a row without one stops the server, too."""

ROUTERS: tuple[APIRouter, ...] = (
    authentication.router,
    invitations.router,
    clinics.router,
    therapists.router,
    licenses.router,
    exercises.router,
    instruments.router,
    operations.router,
)
