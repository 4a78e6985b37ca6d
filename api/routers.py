"""Every router of the house, in the order of the documentation."""

from fastapi import APIRouter

from api import authentication, exercises, instruments, operations

COMPLETE = False
"""Whether every operation of the access table has its route; then a row without one stops the server, too."""

ROUTERS: tuple[APIRouter, ...] = (
    authentication.router,
    exercises.router,
    instruments.router,
    operations.router,
)
