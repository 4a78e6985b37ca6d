import pytest

from core.database import Sessions
from tests.services.check_ins.scene import Scene, scene


@pytest.fixture
async def stage(sessions: Sessions) -> Scene:
    """Alice's clinic, staffed on weekdays from eight to six."""
    staffed = {str(weekday): [["08:00", "18:00"]] for weekday in range(1, 6)}
    return await scene(sessions, staffed_hours=staffed)
