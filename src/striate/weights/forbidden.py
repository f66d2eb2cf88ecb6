"""Names that no file of weights has an honest use for.

A pickle is a program: it names callables of any installed package and has them called.  The reader in
`machine.py` calls nothing, whatever is named, so this list protects nobody; it is there so that a file made
to do harm is refused and said to be so, and not half used.
"""

from __future__ import annotations

# Whole packages: they start processes, open files and sockets, load code, or reach the interpreter.
_PACKAGES_TEXT = """
    os posix nt posixpath ntpath subprocess _posixsubprocess pty popen2 sys shutil platform
    runpy importlib imp _imp zipimport pkgutil pydoc codeop py_compile compileall
    pickle _pickle cPickle dill cloudpickle joblib marshal shelve
    ctypes _ctypes cffi gc inspect linecache atexit signal faulthandler
    socket _socket ssl _ssl socketserver http httplib urllib urllib2 urllib3 requests httpx httpx2 aiohttp
    ftplib smtplib poplib imaplib telnetlib nntplib xmlrpc webbrowser antigravity
    threading _thread thread multiprocessing asyncio concurrent
    pdb bdb timeit profile cProfile _lsprof doctest unittest idlelib lib2to3 cgitb
    pip ensurepip venv setuptools distutils pkg_resources IPython
    tempfile fileinput zipfile tarfile sqlite3 _sqlite3 dbm winreg _winreg msvcrt _winapi
"""
_PACKAGES = frozenset(_PACKAGES_TEXT.split())

# One module and what is below it, of packages that are harmless as a whole.
_BRANCHES = (
    "logging.config",
    "numpy.ctypeslib",
    "numpy.distutils",
    "numpy.f2py",
    "numpy.testing",
    "test.support",
    "torch._dynamo",
    "torch._inductor",
    "torch.classes",
    "torch.distributed.elastic",
    "torch.hub",
    "torch.multiprocessing",
    "torch.ops",
    "torch.package",
    "torch.utils.cpp_extension",
    "torch.utils.model_zoo",
)

_BUILTINS_TEXT = """
    eval exec execfile compile open file __import__ getattr setattr delattr globals locals vars
    input raw_input breakpoint map filter apply reduce reload
"""
_BUILTINS = frozenset(_BUILTINS_TEXT.split())
_CALLERS = frozenset({"attrgetter", "methodcaller", "itemgetter", "call"})
_OPENERS = frozenset({"open", "open_code", "FileIO"})

# Single names of modules that are harmless otherwise.
_SINGLE = {
    "builtins": _BUILTINS,
    "__builtin__": _BUILTINS,
    "operator": _CALLERS,
    "_operator": _CALLERS,
    "io": _OPENERS,
    "_io": _OPENERS,
    "codecs": frozenset({"open"}),
    "code": frozenset({"interact", "InteractiveConsole", "InteractiveInterpreter", "compile_command"}),
    "commands": frozenset({"getoutput", "getstatusoutput", "getstatus"}),
    "functools": frozenset({"reduce"}),
    "_functools": frozenset({"reduce"}),
    "itertools": frozenset({"starmap"}),
    "logging": frozenset({"FileHandler"}),
    "trace": frozenset({"Trace"}),
    "types": frozenset({"FunctionType", "CodeType", "LambdaType", "MethodType", "ModuleType", "new_class"}),
    "numpy": frozenset(
        {"load", "loadtxt", "genfromtxt", "fromfile", "save", "savetxt", "memmap", "fromregex"}
    ),
    "torch": frozenset({"load", "save", "compile"}),
    "torch.jit": frozenset({"load", "script", "trace"}),
    "torch.serialization": frozenset({"load", "save"}),
    "torch.storage": frozenset({"_load_from_bytes"}),
}

# Modules whose names begin so without being the interpreter's own.
_ORDINARY = frozenset({"__builtin__", "__main__", "__torch__"})


def runs_code(module: str, name: str) -> bool:
    """Whether `module.name` could run code, load it, or reach files, processes or the network."""
    steps, parts = module.split("."), name.split(".")
    if steps[0] in _PACKAGES:
        return True
    # `x.__globals__`, `x.__subclasses__`: the ways from any object to the interpreter.
    if any(part.startswith("__") for part in parts) or any(
        step.startswith("__") and step not in _ORDINARY for step in steps
    ):
        return True
    if any(module == branch or module.startswith(f"{branch}.") for branch in _BRANCHES):
        return True
    # A path may be written down, but not used: `Path.write_text`.
    if module == "pathlib" and len(parts) > 1:
        return True
    return parts[0] in _SINGLE.get(module, ())
