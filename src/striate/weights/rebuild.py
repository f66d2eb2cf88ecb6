"""What a pickle asks to be called, and the few calls that have an answer here."""

from __future__ import annotations

from collections.abc import Sequence

from striate.weights.inert import DTYPES, STORAGES, Broken, Name, Opaque, Storage, View, view

# Keys and members of sets are compared and hashed; only what does both at once, and fast, may be one.
_PLAIN = (str, bytes, bool, float, type(None), Name, Opaque, View, Storage)
_MOST_KEY_BITS = 64
_MOST_KEY_PARTS = 8


def key(value: object) -> object:
    """`value`, if it may be a key.  Raises Broken for nested tuples, whose hash can take forever."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, int) and value.bit_length() <= _MOST_KEY_BITS:
        return value
    if (
        isinstance(value, tuple)
        and len(value) <= _MOST_KEY_PARTS
        and not any(isinstance(e, tuple) for e in value)
    ):
        return tuple(key(each) for each in value)
    raise Broken(f"a {type(value).__name__} is used as a key")


def call(function: object, arguments: object) -> object:
    """What stands for `function(*arguments)`: a plain value, a tensor described, or an Opaque.

    Raises Broken where a tensor is described that cannot be.
    """
    if not isinstance(arguments, tuple):
        raise Broken(f"a call with a {type(arguments).__name__} for arguments")
    if not isinstance(function, Name):
        return Opaque(function.name if isinstance(function, Opaque) else type(function).__name__)
    match str(function):
        case "collections.OrderedDict" | "collections.defaultdict" | "collections.Counter":
            return _mapping(arguments)
        case "torch.Size" | "builtins.tuple" | "__builtin__.tuple":
            first = arguments[0] if arguments else ()
            return tuple(first) if isinstance(first, list | tuple) else Opaque(str(function))
        case "builtins.set" | "__builtin__.set" | "builtins.frozenset" | "__builtin__.frozenset":
            first = arguments[0] if arguments else ()
            return {key(each) for each in first} if isinstance(first, list | tuple) else Opaque(str(function))
        case "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2":
            return _tensor(arguments)
        case "torch._utils._rebuild_tensor_v3":
            return _tensor(arguments, dtype=arguments[6] if len(arguments) > 6 else None)
        case "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state":
            if arguments and isinstance(arguments[0], View | Opaque):
                return arguments[0]
        case "torch.nn.parameter.Parameter" | "torch.Tensor":
            if arguments and isinstance(arguments[0], View):
                return arguments[0]
        case "torch._tensor._rebuild_from_type_v2":
            if len(arguments) >= 3 and isinstance(arguments[0], Name):
                inner = str(arguments[0])
                if inner.startswith("torch._utils._rebuild_"):
                    return call(arguments[0], arguments[2])
        case "copy_reg._reconstructor" | "copyreg._reconstructor":
            if arguments and isinstance(arguments[0], Name):
                return Opaque(str(arguments[0]))
    return Opaque(str(function))


def persistent(identity: object) -> object:
    """What stands for a persistent id: the storage that it names.  Raises Broken for any other."""
    if isinstance(identity, tuple) and identity:
        kind, *rest = identity
        if kind in ("storage", b"storage") and len(rest) in (4, 5):
            return _storage(rest)
        if kind in ("module", b"module") and rest:
            return rest[0]
    raise Broken("a reference to something outside the file that is no storage")


def _mapping(arguments: tuple[object, ...]) -> dict[object, object]:
    made: dict[object, object] = {}
    for given in arguments:
        if isinstance(given, dict):
            made.update(given)
        elif isinstance(given, list | tuple):
            for pair in given:
                if not isinstance(pair, list | tuple) or len(pair) != 2:
                    raise Broken("a dictionary is made of something other than pairs")
                made[key(pair[0])] = pair[1]
    return made


def _storage(parts: Sequence[object]) -> Storage | Opaque:
    kind, name, _, numbers, *window = parts
    if not isinstance(kind, Name) or kind.module not in ("torch", "torch.storage", "torch.cuda"):
        raise Broken("a storage without a type")
    if kind.name not in STORAGES:
        return Opaque(str(kind))
    if isinstance(name, bytes):
        name = name.decode("latin-1")
    if not isinstance(name, str) or not isinstance(numbers, int) or not 0 <= numbers < 2**60:
        raise Broken("a storage without a name or with an impossible length")
    whole = Storage(name, STORAGES[kind.name], numbers)
    if not window or window[0] is None:
        return whole
    part = window[0]
    if not isinstance(part, tuple) or len(part) != 3:
        raise Broken(f"storage {name!r} is seen through a window that is not described")
    _, start, length = part
    if (
        not isinstance(start, int)
        or not isinstance(length, int)
        or not 0 <= start <= start + length <= numbers
    ):
        raise Broken(f"storage {name!r} is seen through a window that lies outside it")
    return Storage(name, whole.dtype, length, start)


def _tensor(arguments: tuple[object, ...], dtype: object = None) -> object:
    if len(arguments) < 4:
        raise Broken("a tensor is described by too few values")
    storage, offset, size, stride = arguments[:4]
    if isinstance(storage, Opaque):
        return storage
    if not isinstance(storage, Storage):
        raise Broken("a tensor without a storage")
    if isinstance(dtype, Name):
        found = DTYPES.get(dtype.name) if dtype.module == "torch" else None
        if found is None:
            return Opaque(f"a tensor of {dtype}")
        return view(storage, found, offset, size, stride)
    if storage.dtype is None:
        raise Broken(f"a tensor without a type on storage {storage.key!r}")
    return view(storage, storage.dtype, offset, size, stride)
