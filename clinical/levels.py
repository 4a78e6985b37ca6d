"""How urgent something is, in words that can be compared."""

from enum import StrEnum


class _Ordered(StrEnum):
    """Words in the order in which they are listed, the least urgent first; they compare by place, not by spelling."""

    @property
    def rank(self) -> int:
        return list(type(self)).index(self)

    def __lt__(self, other: str) -> bool:
        return self.rank < type(self)(other).rank

    def __le__(self, other: str) -> bool:
        return self.rank <= type(self)(other).rank

    def __gt__(self, other: str) -> bool:
        return self.rank > type(self)(other).rank

    def __ge__(self, other: str) -> bool:
        return self.rank >= type(self)(other).rank


class Level(_Ordered):
    """What a red flag screen asks for; its order is the file's `level_order`."""

    NONE = "none"
    WATCH = "watch"
    REFER = "refer"
    URGENT_SAME_DAY = "urgent_same_day"
    EMERGENCY_NOW = "emergency_now"


class AlertLevel(_Ordered):
    """How soon a human must look at an alert; `none` asks for no alert."""

    NONE = "none"
    ROUTINE = "routine"
    HIGH = "high"
    URGENT_SAME_DAY = "urgent_same_day"
    EMERGENCY_NOW = "emergency_now"


class FlareStep(StrEnum):
    """How much of the usual dose is due in a flare-up, the least first; at `full` it is over."""

    REDUCED = "reduced"
    THREE_QUARTERS = "three_quarters"
    FULL = "full"
