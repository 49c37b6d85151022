"""What a zero-cost score says where it has no value."""


class Undefined(ArithmeticError):
    """A score that a network does not have: infinite, not a number, or not defined for such a network; says why."""
