"""What a test knows to be there, for types that say it may not be."""

from typing import TypeVar

from controller.core.circuits.circuit import Circuit
from controller.core.circuits.generation import Generation

T = TypeVar("T")


def there(value: T | None) -> T:
    assert value is not None
    return value


def newest(circuit: Circuit) -> Generation:
    """Its newest generation that is not being retired."""
    return there(circuit.newest())
