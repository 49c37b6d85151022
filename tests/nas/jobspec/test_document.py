"""Job files as plain values: what YAML and JSON may say, and what is refused."""

import contextlib
import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from nas.jobspec.document import MAX_BYTES, DocumentError, parse_text, read_document
from nas.jobspec.errors import JobSpecError


@pytest.mark.parametrize(
    "text, value",
    [
        ("2.0e6", 2.0e6),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        ("+12", 12),
        ("0", 0),
        ("'12'", "12"),
        ("true", True),
        ("no", "no"),
        ("on", "on"),
        ("~", None),
        ("2024-01-01", "2024-01-01"),
        ("1:30", "1:30"),
        (".nan", ".nan"),
        ("1_000", "1_000"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    """Numbers with exponents are numbers; no word but true and false is a boolean."""
    read = parse_text(f"key: {text}")
    assert read == {"key": value}
    assert type(read["key"]) is type(value)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    # YAML ends lines at more characters than Python's repr shows; jobs hold words.
    | st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc_", min_size=1), inner, max_size=4),
    max_leaves=12,
)


class Quoting(yaml.SafeDumper):
    """PyYAML's writer with words in quotes: it is YAML 1.1, for which a plain 0E0 is a word and not a number."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """A quoted word."""
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"')


Quoting.add_representer(str, Quoting.represent_str)


@given(PLAIN)
@example(["0E0"])
def test_what_pyyaml_and_json_write_is_read_back(value: object) -> None:
    """Any plain value survives PyYAML's own writer and the JSON writer."""
    assert parse_text(json.dumps(value), json_format=True) == value
    assert parse_text(json.dumps(value)) == value  # JSON is YAML 1.2
    assert parse_text(yaml.dump(value, Dumper=Quoting)) == value


@given(st.text(st.sampled_from("ab:- \n[]{},&*!|>'\"\\\\%#?0.eUx~@\t\x85\ud800"), max_size=40), st.booleans())
def test_any_text_is_read_or_refused(text: str, json_format: bool) -> None:
    """Whatever a file holds, nothing but DocumentError comes out."""
    with contextlib.suppress(DocumentError):
        parse_text(text, json_format=json_format)


def test_aliases_are_followed() -> None:
    """A small alias is a convenience, not a bomb."""
    assert parse_text("a: &x [1, 2]\nb: *x") == {"a": [1, 2], "b": [1, 2]}


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
BAD_YAML = {
    "unclosed list": ("a: [1, 2", "not YAML: line 1, column 9: "),
    "tab": ("a:\n\tb: 1", "not YAML: line 2, column 1: "),
    "control character": ("a: \x07", "not YAML: "),
    "impossible escape": ('a: "\\UFFFFFFFF"', "not YAML: "),
    "two documents": ("a: 1\n---\nb: 2", "not YAML: "),
    "unknown alias": ("a: *b", "not YAML: line 1, column 4: found undefined alias"),
    "duplicate key": ("a: 1\nb: {c: 1, c: 2}", "line 2, column 11: key 'c' is given twice"),
    "list as a key": ("[1, 2]: 3", "line 1, column 1: a key must be a word"),
    "python object": ("a: !!python/object/apply:os.system [ls]", "tag 'tag:yaml.org,2002:python/object/apply"),
    "own tag": ("a: !mine 3", "line 1, column 4: tag '!mine' is not allowed; write the plain value"),
    "typed scalar": ("a: !!int '3'", "line 1, column 4: tag 'tag:yaml.org,2002:int' is not allowed"),
    "set": ("a: !!set {b, c}", "tag 'tag:yaml.org,2002:set' is not allowed"),
    "huge number": ("a: 1e999", "line 1, column 4: the number '1e999' is too large"),
    "alias bomb": (BOMB, "more than 10000 values once its aliases are followed"),
    "endless alias": ("a: &a [*a]", "an alias that contains itself"),
    "long": ("[" + "a," * 30_000 + "]", "more than 10000 values"),
    "deep": ("[" * 3000, "nested more than 32 deep"),
    "deep blocks": ("".join(f"{' ' * depth}a:\n" for depth in range(200)), "nested more than 32 deep"),
}
BAD_JSON = {
    "unclosed": ('{"a": [1', "not JSON: line 1, column 9: "),
    "duplicate key": ('{"a": 1, "a": 2}', "key 'a' is given twice in one object"),
    "NaN": ('{"a": NaN}', "NaN is not a number that is allowed here"),
    "infinite": ('{"a": 1e999}', "the number '1e999' is too large"),
    "long number": ('{"a": ' + "9" * 5000 + "}", "not JSON that is allowed here: "),
    "deep": ("[" * 40 + "]" * 40, "nested more than 32 deep"),
    "very deep": ("[" * 200_000 + "]" * 200_000, "nested more than 32 deep"),
}


@pytest.mark.parametrize("case", BAD_YAML)
def test_bad_yaml(case: str) -> None:
    """Each is one message, with its place where there is one."""
    text, message = BAD_YAML[case]
    with pytest.raises(DocumentError, match=re.escape(message)):
        parse_text(text)


@pytest.mark.parametrize("case", BAD_JSON)
def test_bad_json(case: str) -> None:
    """Each is one message."""
    text, message = BAD_JSON[case]
    with pytest.raises(DocumentError, match=re.escape(message)):
        parse_text(text, json_format=True)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"a: \xff", "not UTF-8 text: byte 3 is 0xff"),
        (b"#" * (MAX_BYTES + 1), "larger than the 1048576 bytes that a job file may have"),
    ],
)
def test_bad_files(content: bytes, message: str, tmp_path: Path) -> None:
    """Files that hold no document."""
    path = tmp_path / "job.yaml"
    path.write_bytes(content)
    with pytest.raises(JobSpecError) as error:
        read_document(path)
    assert str(error.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    "name, message", [("none.yaml", "no such file"), (".", "not a file"), ("x" * 300, "cannot be read: File name too")]
)
def test_no_file(name: str, message: str, tmp_path: Path) -> None:
    """Paths where no file is."""
    with pytest.raises(JobSpecError, match=re.escape(message)):
        read_document(tmp_path / name)


def test_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    """Files of editors that write a mark are read."""
    path = tmp_path / "job.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_document(path) == {"a": 1}
