import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eden_bench.errors import DataDamaged, DataMissing
from tasks.reading import files


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.trap("inputs", "semicolons, tabs, UTF-16; renamed folders, JPEG copies, `.PNG`", "named as what they are")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name;label\na;1\n", "parts its columns by semicolons, expected commas: save it again with commas"),
        (b"name\tlabel\na\t1\n", "parts its columns by tabs, expected commas"),
        ("name,label\na,1\n".encode("utf-16"), "is UTF-16 text, expected UTF-8: save it again as UTF-8"),
    ],
)
def test_a_table_that_a_spreadsheet_wrote_is_named_as_what_it_is(tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataDamaged, match=message):
        list(files.read_table("x", tmp_path / "t.csv", ("name", "label")))


@pytest.mark.trap("datasets", "text with LF, CRLF or CR alone", "each ends a line")
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_kind_of_line_end_ends_a_line(tmp_path, end):
    path = write(tmp_path / "list.txt", end.join([b"a.png", b"  b.png ", b"", b"c.png", b""]))
    assert files.read_lines("x", path) == ["a.png", "b.png", "c.png"]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    assert files.read_lines("x", write(tmp_path / "a", "\ufeffa.png\n".encode())) == ["a.png"]


def test_text_that_is_not_utf8_is_latin1(tmp_path):
    assert files.read_text("x", write(tmp_path / "a", "Universität".encode("latin-1"))) == "Universität"


def test_an_empty_an_absent_and_a_binary_file_are_one_sentence_each(tmp_path):
    with pytest.raises(DataDamaged, match=r"x: .*empty is empty, expected content: unpack"):
        files.read_text("x", write(tmp_path / "empty", b""))
    with pytest.raises(DataDamaged, match=r"x: .*absent cannot be opened \(No such file"):
        files.read_text("x", tmp_path / "absent")
    with pytest.raises(DataDamaged, match=r"x: .*binary holds zero bytes, expected text"):
        files.read_text("x", write(tmp_path / "binary", b"a\0b"))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataDamaged, match="pipe is not a regular file"):
        files.size_of("x", tmp_path / "pipe")


def test_a_text_file_without_bound_is_refused_unread(tmp_path):
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DataDamaged, match="huge has 1,099,511,627,776 bytes, expected at most"):
        files.read_text("x", tmp_path / "huge")


def test_columns_are_found_by_name_and_others_passed_over(tmp_path):
    path = write(tmp_path / "a.csv", b"Other,Name,Size[w,h],\n1,a,2,3,\n\n4,b,5,6,\n")
    assert list(files.read_table("x", path, ("Name", "Other"))) == [(2, ("a", "1")), (4, ("b", "4"))]


def test_a_missing_column_is_named_with_the_nearest(tmp_path):
    path = write(tmp_path / "a.csv", b"Image Index,Patient Id\na,b\n")
    with pytest.raises(DataDamaged, match=r"x: .*a\.csv has no column 'Patient ID' \(Did you mean 'Patient Id'\?\)"):
        list(files.read_table("x", path, ("Image Index", "Patient ID")))


def test_a_short_row_is_named_by_its_number(tmp_path):
    path = write(tmp_path / "a.csv", b"a,b,c\n1,2,3\n4,5\n")
    with pytest.raises(DataDamaged, match=r"a\.csv row 3 has 2 fields, expected at least 3"):
        list(files.read_table("x", path, ("a", "c")))


def test_a_field_beyond_all_bounds_is_a_sentence_too(tmp_path):
    path = write(tmp_path / "a.csv", b"a,b\n1," + b"x" * 200_000 + b"\n")
    with pytest.raises(DataDamaged, match=r"a\.csv row 2 cannot be parsed \(field larger than field limit"):
        list(files.read_table("x", path, ("a", "b")))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_give_rows_or_a_sentence(tmp_path, content):
    path = write(tmp_path / "a.csv", b"a,b\n" + content)
    try:
        rows = list(files.read_table("x", path, ("a", "b")))
    except DataDamaged as error:
        assert re.match(r"x: .*a\.csv .*expected .*: ", str(error), re.DOTALL)  # noqa: PT017
    else:
        assert all(len(fields) == 2 for _, fields in rows)


@pytest.mark.trap("datasets", "`__MACOSX`, `._` files, `.DS_Store`", "passed over")
def test_files_come_in_order_and_what_archivers_leave_is_passed_over(tmp_path):
    for name in ("b/2.gif", "a/1.gif", "__MACOSX/a/._1.gif", "a/._1.gif", ".DS_Store", "0.txt"):
        write(tmp_path / name, b"x")
    assert [str(p.relative_to(tmp_path)) for p in files.files_under(tmp_path)] == ["0.txt", "a/1.gif", "b/2.gif"]


def test_a_link_to_itself_ends_at_the_bounded_depth(tmp_path):
    write(tmp_path / "a/1.gif", b"x")
    (tmp_path / "a/loop").symlink_to(tmp_path / "a")
    found = list(files.files_under(tmp_path, deepest=4))
    assert len(found) == 3


def test_an_absent_and_an_empty_folder_are_said(tmp_path):
    with pytest.raises(DataMissing, match=r"x: .*nowhere is not a folder, expected images: unpack"):
        files.need_folder("x", tmp_path / "nowhere", "images", "unpack")
    with pytest.raises(DataMissing, match="is empty, expected images: unpack"):
        files.need_folder("x", tmp_path, "images", "unpack")


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied", "/a/b"), OSError(40, "Too many links", "/a/b")]
)
def test_what_the_system_refuses_is_one_sentence_that_names_it(tmp_path, error):
    with (
        pytest.raises(DataDamaged, match=rf"x: /a/b cannot be read \({error.strerror}\), expected"),
        files.readable("x", tmp_path),
    ):
        raise error


def test_what_the_system_does_not_name_is_named_all_the_same(tmp_path):
    with pytest.raises(DataDamaged, match=rf"x: {tmp_path} cannot be read \(worn out\)"), files.readable("x", tmp_path):
        raise OSError("worn out")
