"""A public name is said once, in the file that defines it, and found where the package says."""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

import minighost
from minighost import data, ops, plots, stepper, train

ROOMS = [path.stem for path in Path(minighost.__file__).parent.iterdir()]
INNER = {"bias", "elementwise", "windows"}  # files of `ops` that its other files share


def files_of_ops():
    names = {found.name for found in pkgutil.iter_modules(ops.__path__)}
    return {name: importlib.import_module(f"minighost.ops.{name}") for name in sorted(names - INNER)}


def rooms(package):
    """Names that are meant to be modules."""
    return {"optimizers", "schedules"} if package is train else set(ROOMS) if package is minighost else set()


@pytest.mark.parametrize("package", [minighost, data, plots, stepper, train], ids=lambda package: package.__name__)
def test_every_name_that_is_looked_up_on_first_use_is_there(package):
    assert sorted(package.__all__) == dir(package)
    missing = [name for name in package.__all__ if not hasattr(package, name)]
    assert not missing, f"{package.__name__} lists what no module defines: {missing}"
    asked = {name: getattr(package, name) for name in package.__all__}
    shadowed = [name for name, found in asked.items() if isinstance(found, ModuleType) and name not in rooms(package)]
    assert not shadowed, f"{package.__name__}: a file of that name hides the function, once it is imported: {shadowed}"
    with pytest.raises(AttributeError, match=rf"'{package.__name__}' has no attribute 'no_such'; it has \w+"):
        _ = package.no_such


def test_ops_offers_what_its_files_offer_and_no_name_comes_from_two():
    offered = [name for file in files_of_ops().values() for name in file.__all__]
    assert len(offered) == len(set(offered)), f"in two files: {sorted({n for n in offered if offered.count(n) > 1})}"
    of_the_engine = {"threads", "pool_bytes", "release_pool"}
    assert set(ops.__all__) == {*offered, *of_the_engine}, "a file of ops is imported with * in ops/__init__.py"


@pytest.mark.parametrize("name", ["add", "avg_pool", "concat", "global_avg_pool", "max_pool"])
def test_an_operation_is_in_the_file_of_its_name(name):
    both = {f"{name}_{pass_}{twin}" for pass_ in ("forward", "backward") for twin in ("", "_reference")}
    assert both == set(files_of_ops()[name].__all__)
