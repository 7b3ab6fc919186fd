"""What calls give that may fail one by one, such as `rooms.open_many`."""

from typing import Generic, TypeVar, Union

T = TypeVar("T")
E = TypeVar("E")

class Ok(Generic[T]):
    """It was done."""

    value: T

class Err(Generic[E], Exception):
    """It was not, for this reason."""

    value: E

Result = Union[Ok[T], Err[E]]
