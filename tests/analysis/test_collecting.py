"""A table of jobs is whole, or there is none."""

import pytest

from memscore.analysis import collecting
from memscore.errors import InputError

WHOLE = "model,layer,raw,note\r\na,conv,0.5,\r\na,fc,0.25,\r\n"
ROWS = [{"model": "a", "layer": "conv"}, {"model": "a", "layer": "fc"}]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "the file is empty"),
        *((WHOLE[:end], "it ends in the middle of a row") for end in (3, 21, 30, len(WHOLE) - 1)),
        ("model,layer,raw,note\r\n", "no row of a conv"),
        ("model,layer,raw,note\r\na,conv,0.5,\r\n", "no row of a fc"),
        (WHOLE + "a,fc,0.25,\r\n", "2 rows of a fc"),
        (WHOLE.replace("a,fc,0.25,", "a,fc,0.25"), "a row has more or fewer cells than the header"),
        (WHOLE.replace("raw", "law"), "no column raw"),
        (WHOLE.replace("layer", "label"), "no column layer"),
        (WHOLE.replace("0.5", "\0\0\0"), "it holds zeros instead of text"),
    ],
)
def test_damage_is_seen(tmp_path, text, wrong):
    file = tmp_path / "a.csv"
    file.write_bytes(text.encode())
    assert collecting.damage(file, ROWS, ["raw"]) == wrong


def test_all_damaged_files_are_named_and_removed(tmp_path):
    files = [str(tmp_path / name) for name in ("whole.csv", "cut.csv", "empty.csv")]
    for file, text in zip(files, (WHOLE, WHOLE[:30], ""), strict=True):
        (tmp_path / file).write_bytes(text.encode())
    with pytest.raises(
        InputError, match=r"cut\.csv \(it ends.*empty\.csv \(the file is empty\); removed: give the same"
    ):
        collecting.together(files, lambda file: (ROWS, ["raw"]))
    assert [path.name for path in tmp_path.iterdir()] == ["whole.csv"]
    assert list(collecting.together(files[:1], lambda file: (ROWS, ["raw"]))["raw"]) == [0.5, 0.25]
