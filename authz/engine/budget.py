"""How much work a question may cost. Made by `commands`; the engine spends it and knows no clock."""

from __future__ import annotations

from collections.abc import Callable

STEPS_BETWEEN_LOOKS = 1000


class Budget:
    """Steps left until `look` is called again.

    `look` raises to stop the work (deadline passed, caller gone, too many steps); otherwise the work goes on. A
    step is one (relation, object) visited or one entry of a row walked over: some microseconds at the most.
    """

    __slots__ = ("_granted", "_look", "_steps", "left")

    def __init__(self, look: Callable[[], None], *, steps: int = STEPS_BETWEEN_LOOKS) -> None:
        self._look = look
        self._steps = steps
        self._granted = steps
        self.left = steps

    def spend(self, steps: int) -> None:
        """Count steps, and look when enough have gathered.

        Raises:
            AuthzError: whatever `look` raises.

        """
        self.left -= steps
        if self.left < 0:
            self._granted += self._steps - self.left
            self.left = self._steps
            self._look()

    @property
    def spent(self) -> int:
        """The steps spent so far."""
        return self._granted - self.left

    def look_soon(self) -> None:
        """Look at the next step, because time has passed that was not counted in steps."""
        self._granted -= self.left
        self.left = 0
