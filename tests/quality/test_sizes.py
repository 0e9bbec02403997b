"""The figures of `make sizes` are those of the files."""

from documented_commands import ROOT

from quality.sizes import folders, functions, row, table

TWO_FUNCTIONS = '''"""A file."""


def short() -> None:
    """Do nothing."""


class Holder:
    async def long(self) -> int:
        def inner() -> int:
            return 1

        return inner()
'''


def test_functions_are_measured_inside_classes_and_functions_too(tmp_path):
    file = tmp_path / "code.py"
    file.write_text(TWO_FUNCTIONS)
    found = {function.name: function for function in functions(file)}
    assert {name: function.lines for name, function in found.items()} == {
        "short": 2,
        "long": 5,
        "inner": 2,
    }
    assert found["long"].place == f"{file}:9"


def test_a_row_says_medians_and_the_longest(tmp_path):
    short, long = tmp_path / "a.py", tmp_path / "b.py"
    short.write_text("def one() -> None:\n    pass\n")
    long.write_text(TWO_FUNCTIONS)
    cells = [cell.strip() for cell in row("some", [short, long]).split("|")[1:-1]]
    assert cells == ["some", "2", "15", "7.5", "2", "4.1", f"5 long ({long}:9)"]


def test_every_folder_has_a_row_and_what_tools_leave_has_none(tmp_path):
    for name in ("mine", "tests", "mutants", ".venv"):
        tmp_path.joinpath(name).mkdir()
        tmp_path.joinpath(name, "code.py").write_text(TWO_FUNCTIONS)
    tmp_path.joinpath("run.py").write_text(TWO_FUNCTIONS)
    rows = [line.split("|")[1].strip() for line in table(tmp_path).splitlines()[2:]]
    assert rows == ["mine", "scripts", "all of it", "tests"]
    assert {"modeling_hybridsent", "space", "quality"} <= set(folders(ROOT))
