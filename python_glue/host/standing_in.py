"""Attributes that are something else for a while."""

from contextlib import contextmanager


@contextmanager
def standing_in(owner, name: str, value):
    """`owner.name` is `value`; afterwards it is again what it was."""
    own = vars(owner)
    had, before = name in own, own.get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if had:
            setattr(owner, name, before)
        else:
            delattr(owner, name)
