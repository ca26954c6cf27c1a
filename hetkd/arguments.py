"""Checks of constructor arguments against their annotations: type and range."""

import ast
import inspect
import textwrap
from difflib import get_close_matches
from functools import cache, wraps
from typing import Annotated, Any, Optional, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from hetkd.errors import UserError

# Annotations of numbers.
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Temperature = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]

# pydantic's errors in the words of this project.
WORDS = {
    'bool_type': 'True or False',
    'dict_type': 'a dict',
    'finite_number': 'a finite number',
    'float_type': 'a number',
    'greater_than': 'a number > {gt:g}',
    'greater_than_equal': 'a number >= {ge:g}',
    'less_than_equal': 'a number <= {le:g}',
    'int_from_float': 'a whole number',
    'int_type': 'a whole number',
    'string_type': 'text',
}

# A '4' is not a 4.
STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True)


def checked(cls: type) -> type:
    """Let a class check the arguments that its constructor annotates; the class itself is changed.

    Raises:
        UserError: by the constructor, for an unknown or a missing argument, a value of another type, or one
            out of the annotation's range.
    """
    init = cls.__dict__.get('__init__')
    if not isinstance(cls, type) or init is None or not init.__annotations__:
        return cls
    signature = inspect.signature(init)

    @wraps(init)
    def checked_init(self, *args, **kwargs):
        names = argument_names(cls)
        if names is not None:
            check_names(kwargs, names, cls.__name__, cls)
        try:
            values = signature.bind(self, *args, **kwargs).arguments
        except TypeError as error:
            wanted = 'arguments that it takes, and all it needs'
            raise UserError(cls.__name__, wanted, error) from None
        check_arguments(cls, values, cls.__name__)
        init(self, *args, **kwargs)

    checked_init._is_checked = True
    cls.__init__ = checked_init
    return cls


def check_arguments(cls: type, values: dict[str, Any], where: str) -> None:
    """Check values of a class's constructor, or of those that it passes arguments on to.

    Args:
        cls: the class.
        values: by argument; those without an annotation are not looked at.
        where: what stands before the argument's name in an error.

    Raises:
        UserError: a value of another type or out of range.
    """
    for name, value in values.items():
        kind = next((x[name] for x in map(_hints, cls.__mro__) if name in x), None)
        if kind is not None:
            check_value(value, kind, f'{where}.{name}')


def check_value(value: Any, kind: Any, where: str) -> None:
    """Check a value against an annotation.

    Raises:
        UserError: it is of another type or out of range.
    """
    try:
        _adapter(kind).validate_python(value)
    except ValidationError as error:
        wanted = dict.fromkeys(map(_wanted, error.errors()))
        raise UserError(where, ' or '.join(wanted), repr(value)) from None


@cache
def _adapter(kind: Any) -> TypeAdapter:
    return TypeAdapter(kind, config=STRICT)


def _wanted(error: dict) -> str:
    text = error['msg'].removeprefix('Input should be ')
    return WORDS.get(error['type'], text).format(**error.get('ctx', {})) if error['type'] in WORDS else text


def check_names(values, known: set[str], where: str, cls=None) -> None:
    """Refuse keys that are not known.

    Raises:
        UserError: the key, behind ``where`` and a dot, with the nearest that are known.
    """
    for key in values:
        if key not in known and not str(key).startswith('_'):
            whose = '' if cls is None else f' of {getattr(cls, "__name__", cls)}'
            raise UserError(f'{where}.{key}', f'a key{whose}', 'an unknown one', nearest(key, sorted(known)))


def nearest(name: str, known: list[str]) -> str:
    """The known names that resemble one, or, where none does, those that there are."""
    close = get_close_matches(str(name), known, n=3, cutoff=0.5)
    return f'nearest: {", ".join(close)}' if close else f'known: {", ".join(known[:40])}'


@cache
def _hints(cls: type) -> dict[str, Any]:
    """Annotations of a class's own constructor, if the class is one of ours or our users'."""
    init = cls.__dict__.get('__init__')
    if not getattr(init, '_is_checked', False):
        return {}
    parameters = inspect.signature(init).parameters.values()
    varying = {x.name for x in parameters if x.kind in (x.VAR_POSITIONAL, x.VAR_KEYWORD)}
    hints = get_type_hints(inspect.unwrap(init), include_extras=True)
    return {name: hint for name, hint in hints.items() if name not in varying and name != 'return'}


@cache
def argument_names(cls) -> Optional[set[str]]:
    """Names of a constructor's arguments, or None where it takes any.

    ``**kwargs`` that go to ``super().__init__`` and nowhere else mean the arguments of the next class.
    """
    if not isinstance(cls, type):
        parameters = inspect.signature(cls).parameters.values()
        return None if any(x.kind is x.VAR_KEYWORD for x in parameters) else {x.name for x in parameters}
    names = set()
    for one in cls.__mro__:
        init = one.__dict__.get('__init__')
        if init is None:
            continue
        init = inspect.unwrap(init)
        try:
            parameters = inspect.signature(init).parameters.values()
        except ValueError:  # of C
            return None
        names |= {x.name for x in parameters if x.kind not in (x.VAR_POSITIONAL, x.VAR_KEYWORD)}
        rest = next((x.name for x in parameters if x.kind is x.VAR_KEYWORD), None)
        if rest is None:
            return names - {'self'}
        if not _goes_on(init, rest):
            return None
    return None


def _goes_on(init, rest: str) -> bool:
    """Whether a constructor's ``**rest`` goes to that of its base class and nowhere else."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(init)))
    except (OSError, SyntaxError, TypeError):
        return False
    passed = {
        id(keyword.value)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith('.__init__')
        for keyword in call.keywords
        if keyword.arg is None
    }
    uses = [x for x in ast.walk(tree) if isinstance(x, ast.Name) and x.id == rest]
    return bool(uses) and all(id(x) in passed for x in uses)
