"""The denoising steps of a generation, and which evaluations of the model each of them holds.

A scheduler may evaluate the model twice in a step, or four times at the start. Its timesteps, its
order and the number of inference steps decide which evaluations belong together.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from regard.errors import ArgumentError

RUNGE_KUTTA = 4
"""Evaluations of a step by the Runge-Kutta method of fourth order."""


def steps_of(
    levels: Sequence[float], asked: int, *, order: int = 1, first: int = 0
) -> tuple[int, ...] | None:
    """The step of each evaluation; None where that cannot be known.

    Args:
        levels: The timestep of each evaluation, as a scheduler lists them.
        asked: The number of inference steps.
        order: Evaluations of a full step; the last may end after one.
        first: How many of the first evaluations are of Runge-Kutta steps, four each.

    Example:
        >>> steps_of([9.0, 5.0, 5.0, 1.0, 1.0], 3, order=2), steps_of([9.0, 5.0, 5.0, 1.0], 3)
        ((0, 0, 1, 1, 2), (0, 0, 1, 2))
        >>> steps_of([9.0, 5.0, 1.0], 3), steps_of([9.0, 7.0, 5.0, 3.0, 1.0], 3)
        ((0, 1, 2), None)
    """
    count = len(levels)
    if count <= asked:
        return tuple(range(count))
    if order > 1 and order * (asked - 1) < count <= order * asked:
        return tuple(index // order for index in range(count))
    if first and not first % RUNGE_KUTTA:
        steps, rest = first // RUNGE_KUTTA, count - first
        if steps + rest == asked:
            early = (index // RUNGE_KUTTA for index in range(first))
            return (*early, *range(steps, asked))
    # A level that comes twice in a row is first where a step arrives, and then where one starts.
    arrives = [one == other for one, other in pairwise(levels)] + [False]
    starts = [index == 0 or not arrives[index] for index in range(count)]
    if sum(starts) != asked:
        return None
    found, step = [], -1
    for start in starts:
        step += start
        found.append(step)
    return tuple(found)


class Steps:
    """At which step a generation is, by its scheduler; `listening` keeps it up to date.

    Attributes:
        scheduler: The pipeline's; None if there is none.
        step: Which step comes next, or is under way, from 0.
        evaluation: Calls of ``scheduler.step`` in this generation so far.
        levels: The timestep that each step began at, as the scheduler has it.
    """

    def __init__(self, scheduler: Any | None) -> None:
        self.scheduler = scheduler
        self.begin(None)

    def begin(self, asked: int | None) -> None:
        """A generation begins, of so many steps; None if their number is not known."""
        self.step = self.evaluation = 0
        self.levels: dict[int, Any] = {}
        self._asked = asked
        self._course: list[float] | None = None
        self._plan: tuple[int, ...] | None = ()
        self._first: int | None = None

    def advance(self, level: Any) -> bool:
        """Note a call of ``scheduler.step`` at this timestep; whether a step ended with it."""
        self.locate(level, sure=True)
        self.levels.setdefault(self.step, level)
        position, plan = self.position, self.plan
        ended = not plan or position + 1 >= len(plan) or plan[position + 1] > plan[position]
        self.evaluation += 1
        self.step += ended
        return ended

    def locate(self, level: Any, *, sure: bool = False) -> None:
        """Find out where in its course a generation begins, which need not be the beginning.

        Args:
            level: The timestep of its first evaluation.
            sure: Whether that is the scheduler's own number; a model may be given another.
        """
        if self._first is not None:
            return
        begin = getattr(self.scheduler, "begin_index", None)
        if begin is None and level is not None and float(level) in self.course:
            begin = self.course.index(float(level))
        if begin is not None or sure:
            self._first = begin or 0

    @property
    def course(self) -> list[float]:
        """The timestep of each evaluation that the scheduler has planned."""
        if self._course is None:
            timesteps = getattr(self.scheduler, "timesteps", None)
            self._course = [] if timesteps is None else [float(each) for each in listed(timesteps)]
        return self._course

    @property
    def plan(self) -> tuple[int, ...] | None:
        """The step of each of these evaluations; None where that cannot be known.

        Each call of ``scheduler.step`` then counts as a step.
        """
        if self._plan == () and self.course:
            asked = self._asked or getattr(self.scheduler, "num_inference_steps", None)
            self._plan = steps_of(
                self.course,
                asked or len(self.course),
                order=getattr(self.scheduler, "order", None) or 1,
                first=_runge_kutta(self.scheduler),
            )
        return self._plan

    @property
    def total(self) -> int | None:
        """How many steps this generation has; None where that cannot be known."""
        if not self.plan:
            return None
        return self.plan[-1] - self.plan[self._first or 0] + 1

    @property
    def position(self) -> int:
        """The index, in the whole course, of the evaluation that comes next or is under way."""
        return (self._first or 0) + self.evaluation

    @property
    def level(self) -> float:
        """The timestep of that evaluation, as the scheduler has it; NaN after the last."""
        return self.course[self.position] if self.position < len(self.course) else float("nan")

    def check(self, who: str) -> None:
        """Refuse a scheduler whose steps cannot be identified.

        Raises:
            ArgumentError: they cannot.
        """
        if self.course and self.plan is None:
            raise ArgumentError(
                f"{who}: {type(self.scheduler).__name__} evaluates the model {len(self.course)} "
                f"times for {self._asked} steps, which does not decide which evaluations make a "
                f"step. Use another scheduler, such as DDIMScheduler, or do not ask for steps."
            )


def asked_for(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int | None:
    """How many steps a call of ``set_timesteps`` asks for; None if it does not say.

    Example:
        >>> asked_for((30,), {}), asked_for((), {"sigmas": [1.0, 0.5]})
        (30, 2)
    """
    number = args[0] if args else kwargs.get("num_inference_steps")
    if isinstance(number, int):
        return number
    given = (kwargs.get(name) for name in ("timesteps", "sigmas"))
    return next((len(each) for each in given if each is not None), None)


def listed(numbers: Any) -> list[Any]:
    """Numbers of a tensor, an array or a list; from another device all at once."""
    found: list[Any] = numbers.tolist() if hasattr(numbers, "tolist") else list(numbers)
    return found


def _runge_kutta(scheduler: Any) -> int:
    """How many of its first evaluations are of Runge-Kutta steps, of a scheduler that says so."""
    found = getattr(scheduler, "prk_timesteps", None)
    return 0 if found is None else len(found)
