"""Alice, who is asked every morning at eight on Berlin's clock."""

from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from core.database import Sessions, bind_clinic
from models.alerts import Alert
from models.check_ins import CheckIn, CheckInPlan
from models.notifications import Notification
from schemas.check_ins import Answered, AnswersIn, PlanChange, PlanIn
from services import check_ins
from services.check_ins import plans
from tests.factories import NOW
from tests.services.caring import Care, care

DAILY: dict[str, Any] = {"pain_now": 3, "function_limit": 2, "flare": False, "new_symptoms": False}
WEEKLY: dict[str, Any] = {
    "pain_now": 3,
    "pain_average_7d": 3,
    "function_limit": 2,
    "flare": False,
    "stress": 2,
    "mood": 7,
    "confidence": 6,
    "medicine_use": "same",
    "opioid_use": False,
    "care_used": "none",
    "new_symptoms": False,
}
MONDAY = NOW
DAY = timedelta(days=1)


def berlin(day: int, hour: int, minute: int = 0) -> datetime:
    """Give a winter moment of March 2026 on Berlin's clock (UTC+1)."""
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC) - timedelta(hours=1)


@dataclass(frozen=True)
class Scene:
    care: Care
    sessions: Sessions

    @property
    def clinic_id(self) -> UUID:
        return self.care.clinic_id

    async def plan(self, *, at: datetime = MONDAY, **changes: Any) -> CheckInPlan:
        form = {"question_set": "daily", "frequency": "daily", "local_time": "08:00"} | changes
        async with self.sessions.begin() as session:
            await bind_clinic(session, self.clinic_id)
            made = PlanIn.model_validate({key: value for key, value in form.items() if value is not None})
            return await plans.create(session, self.care.bob, self.care.episode_id, made, at=at)

    async def change(self, plan: CheckInPlan, *, at: datetime = MONDAY, **changes: Any) -> CheckInPlan:
        async with self.sessions.begin() as session:
            await bind_clinic(session, self.clinic_id)
            change = PlanChange.model_validate(changes)
            return await plans.update(session, self.care.bob, plan.id, change, version=plan.version, at=at)

    async def pause(self, plan: CheckInPlan, *, at: datetime) -> CheckInPlan:
        async with self.sessions.begin() as session:
            await bind_clinic(session, self.clinic_id)
            return await plans.pause(session, self.care.bob, plan.id, "On holiday", version=plan.version, at=at)

    async def resume(self, plan: CheckInPlan, *, at: datetime) -> CheckInPlan:
        async with self.sessions.begin() as session:
            await bind_clinic(session, self.clinic_id)
            return await plans.resume(session, self.care.bob, plan.id, "Back again", version=plan.version, at=at)

    async def dispatch(self, at: datetime) -> check_ins.Dispatched:
        async with self.sessions.begin() as session:
            await bind_clinic(session, self.clinic_id)
            return await check_ins.dispatch(session, at=at)

    async def live(self, first: datetime, last: datetime) -> check_ins.Closed:
        """Let the workers do what they do, every hour; give what was closed on the way."""
        closed = check_ins.Closed(0, 0, 0, 0)
        while first <= last:
            await self.dispatch(first)
            now = await self.close(first)
            closed = check_ins.Closed(*(a + b for a, b in zip(astuple(closed), astuple(now), strict=True)))
            first += timedelta(hours=1)
        return closed

    async def close(self, at: datetime) -> check_ins.Closed:
        async with self.sessions.begin() as session:
            await bind_clinic(session, self.clinic_id)
            return await check_ins.close_due(session, at=at)

    async def answer(self, check_in: CheckIn, at: datetime, answers: dict[str, Any] = DAILY) -> tuple[Answered, bool]:
        async with self.sessions.begin() as session:
            await bind_clinic(session, self.clinic_id)
            form = AnswersIn.model_validate({"answers": answers})
            return await check_ins.answer(session, self.care.alice, check_in.id, form, at=at)

    async def rows(self) -> list[CheckIn]:
        async with self.sessions() as session:
            await bind_clinic(session, self.clinic_id)
            query = select(CheckIn).where(CheckIn.clinic_id == self.clinic_id).order_by(CheckIn.due_at, CheckIn.id)
            return list(await session.scalars(query))

    async def alerts(self) -> list[Alert]:
        async with self.sessions() as session:
            await bind_clinic(session, self.clinic_id)
            query = select(Alert).where(Alert.clinic_id == self.clinic_id).order_by(Alert.raised_at, Alert.rule_id)
            return list(await session.scalars(query))

    async def owed(self) -> list[Notification]:
        async with self.sessions() as session:
            await bind_clinic(session, self.clinic_id)
            query = select(Notification).where(Notification.clinic_id == self.clinic_id)
            return list(await session.scalars(query.order_by(Notification.due_at, Notification.id)))


async def scene(sessions: Sessions, **clinic: Any) -> Scene:
    return Scene(await care(sessions, **clinic), sessions)
