"""Every public name has a docstring, and its parameters are those of the signature."""

import importlib
import inspect
import pkgutil
import re

import pytest

import reaugkd

MODULES = sorted(module.name for module in pkgutil.walk_packages(reaugkd.__path__, "reaugkd."))


def public_members(module):
    """Functions, classes and their methods that a module defines itself."""
    for name, member in vars(module).items():
        if name.startswith("_") or getattr(member, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(member):
            yield name, member, member
        elif inspect.isclass(member):
            yield name, member, member
            for method_name, method in vars(member).items():
                function = getattr(method, "__func__", method)
                if not method_name.startswith("_") and inspect.isfunction(function):
                    yield f"{name}.{method_name}", function, function


def documented_parameters(docstring):
    """Names in the Parameters section of a NumPy docstring."""
    match = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", inspect.cleandoc(docstring), re.S | re.M)
    if not match:
        return []
    heads = re.findall(r"^(\*{0,2}\w[\w, *]*?) :", match.group(1), re.M)
    return [name.strip().lstrip("*") for head in heads for name in head.split(",")]


@pytest.mark.parametrize("module_name", MODULES)
def test_docstrings_name_the_parameters_of_the_signature(module_name):
    module = importlib.import_module(module_name)
    assert module.__doc__, f"{module_name} does not say what it is for"
    if module_name == "reaugkd.cli":
        return  # its help texts stand with the options
    wrong = []
    for name, member, function in public_members(module):
        docstring = member.__doc__ or ""
        if not docstring or docstring.startswith(f"{member.__name__}("):
            wrong.append(f"{name}: no docstring")
            continue
        one_line = "\n" not in docstring.strip()
        if inspect.isclass(member) and issubclass(member, Exception):
            continue
        expected = [
            parameter for parameter in inspect.signature(function).parameters if parameter not in ("self", "cls")
        ]
        if one_line:
            continue
        if documented_parameters(docstring) != expected:
            wrong.append(f"{name}: documents {documented_parameters(docstring)}, takes {expected}")
    assert not wrong, "\n".join(wrong)
