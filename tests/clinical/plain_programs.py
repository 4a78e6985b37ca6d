"""The life of an episode's programs written down as plainly as it is told: a calendar on which days are crossed out.

It knows neither spans nor tables of steps; `clinical.program_life` and the services are held against it.
"""

from dataclasses import dataclass, field

HORIZON = 120
DONE, NOT_IN_STATE, NOT_READY = "", "program_not_in_state", "program_not_ready"

RUNS = ("active", "paused", "suspended_red_flag")


@dataclass
class PlainProgram:
    """A program: per day the number of the version that holds (0 for none) and why it rests ("" for not at all).

    record: what was done with it. why: who stopped it. lost: nothing counts that was done since the red flag.
    """

    origins: list[int]
    state: str = "draft"
    holds: list[int] = field(default_factory=lambda: [0] * HORIZON)
    rests: list[str] = field(default_factory=lambda: [""] * HORIZON)
    record: list[str] = field(default_factory=list)
    why: str = ""
    lost: bool = False

    def rest(self, today: int, why: str) -> None:
        self.rests[today:] = [why] * (HORIZON - today)

    def hold(self, first: int, number: int) -> None:
        self.holds[first:] = [number] * (HORIZON - first)

    def end(self, state: str, today: int) -> None:
        if self.state != "active":
            self.rest(today, "")
        self.lost = self.state == "suspended_red_flag"
        self.hold(today, 0)
        self.state = state


@dataclass
class PlainEpisode:
    """An episode with its programs; `flag`: a red flag that nobody has released, `treated`: somebody may treat."""

    today: int = 5
    state: str = "active"
    flag: bool = False
    treated: bool = True
    programs: list[PlainProgram] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        return self.treated and not self.flag and self.state == "active"

    def running(self) -> list[PlainProgram]:
        return [program for program in self.programs if program.state in RUNS]

    # -------------------------------------------------------------- asked for
    def draft(self, ahead: int) -> None:
        self.programs.append(PlainProgram([self.today + ahead]))

    def activate(self, program: PlainProgram) -> str:
        if program.state != "draft":
            return NOT_IN_STATE
        if not self.ready:
            return NOT_READY
        for other in self.running():
            other.end("superseded", self.today)
            other.why = ""
            other.record.append("supersede")
        program.origins[-1] = max(program.origins[-1], self.today)
        program.hold(program.origins[-1], len(program.origins))
        return self._is(program, "active", "", "activate")

    def pause(self, program: PlainProgram, why: str) -> str:
        if program.state != "active":
            return NOT_IN_STATE
        program.rest(self.today, why)
        return self._is(program, "paused", "asked", "pause")

    def resume(self, program: PlainProgram) -> str:
        if program.state not in {"paused", "suspended_red_flag"}:
            return NOT_IN_STATE
        if not self.ready:
            return NOT_READY
        program.rest(self.today, "")
        return self._is(program, "active", "asked", "resume")

    def complete(self, program: PlainProgram) -> str:
        if program.state not in {"active", "paused"}:
            return NOT_IN_STATE
        program.end("completed", self.today)
        return self._is(program, "completed", "asked", "complete")

    def write(self, program: PlainProgram, ahead: int | None, *, restart: bool) -> str:
        if program.state in {"completed", "superseded"}:
            return NOT_IN_STATE
        if program.state == "active" and not self.ready:
            return NOT_READY
        day = self.today + (ahead or 0)
        if program.state == "draft":
            program.origins.append(max(day, program.origins[-1]) if ahead is None else day)
            return DONE
        number = next((number for number in program.holds[day:] if number), len(program.origins))
        origin = day if restart else program.origins[number - 1]
        program.origins.append(origin)
        program.hold(max(day, origin), len(program.origins))
        return DONE

    def adjust(self, program: PlainProgram) -> str:
        if program.state != "active":
            return NOT_IN_STATE
        return self.write(program, None, restart=False)

    # -------------------------------------------------------------- what happens
    def found_red_flag(self) -> None:
        self.flag = True
        for program in self.running():
            if program.state != "suspended_red_flag":
                program.rest(self.today, "red_flag_suspended")
                self._is(program, "suspended_red_flag", "", "suspend")

    def nobody_may_treat(self) -> None:
        self.treated = False
        self._stop("gone")

    def held(self) -> None:
        self.state = "on_hold"
        self._stop("episode")

    def discharged(self) -> None:
        self.state = "discharged"
        for program in self.running():
            program.end("completed", self.today)
            self._is(program, "completed", "episode", "complete")

    def _stop(self, why: str) -> None:
        for program in self.running():
            if program.state == "active":
                program.rest(self.today, "program_paused")
                self._is(program, "paused", why, "pause")

    def _is(self, program: PlainProgram, state: str, why: str, action: str) -> str:
        program.state, program.why = state, why
        program.record.append(action)
        return DONE
