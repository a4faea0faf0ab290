"""Formatting: one layout, the same meaning, every comment kept."""

from __future__ import annotations

import re
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema_dsl import DslSyntaxError, dsl_to_json, format_dsl, json_to_dsl
from tests.schema_dsl.strategies import Json, models

MESSY = """\
# top
 # second

model # m
   # in

   schema 1.1 # v
type user
   # about folder


   # more
type   folder
  relations # r

    # first
    define a: [user,user:* with c , folder#a] # tail


    define b:   ((a or b)) and  ( c )
    # free

    define c: ([ # open
      user, # humans
      # groups
      folder#a # last
      , user:*
      # end
      ] but not b) or  a
condition c( x:int,y : list<string> ) { # note
    x < 1   # why
      && y[0] == "a #b" // cel
 } # behind
# the end
"""

TIDY = """\
# top
# second

model # m
  # in
  schema 1.1 # v

type user

# about folder

# more
type folder
  relations # r
    # first
    define a: [user, user:* with c, folder#a] # tail

    define b: (a or b) and c
    # free

    define c: ([
      # open
      user, # humans
      # groups
      folder#a, # last
      user:*
      # end
    ] but not b) or a

condition c(x: int, y: list<string>) {
  # note
    x < 1   # why
      && y[0] == "a #b" // cel
} # behind
# the end
"""


def test_layout() -> None:
    """Statements are set in the canonical layout, comments stay where they belong."""
    assert format_dsl(MESSY) == TIDY


def test_formatted_text_stays_as_it_is() -> None:
    """Formatting twice is formatting once."""
    assert format_dsl(TIDY) == TIDY


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_line_endings(ending: str) -> None:
    """Other line endings and a byte order mark make no difference."""
    other = "\ufeff" + MESSY.replace("\n", ending)
    assert format_dsl(other) == TIDY
    assert dsl_to_json(other) == dsl_to_json(MESSY)


def test_tabs() -> None:
    """Tabs are whitespace like spaces."""
    text = "model\n\tschema 1.1\ntype\tuser\n\trelations\n\t\tdefine\ta:\t[user,\tuser:*]\tor\tb\n"
    assert format_dsl(text) == ("model\n  schema 1.1\n\ntype user\n  relations\n    define a: [user, user:*] or b\n")


def test_modules() -> None:
    """A module is formatted like a model."""
    text = "module  core\nextend  type user\n relations\n  define a: [user]"
    assert format_dsl(text) == "module core\n\nextend type user\n  relations\n    define a: [user]\n"


def test_bodies_are_kept() -> None:
    """The inside of a condition is not changed, even where a string goes over lines."""
    text = dedent('''\
        model
          schema 1.1

        condition c(x: string) {
          x == """a
            b   """ || x == '}'
        }
        ''')
    assert format_dsl(text) == text


def test_broken_text_is_refused() -> None:
    """What is not in the language is not formatted."""
    with pytest.raises(DslSyntaxError):
        format_dsl("model\n  schema 1.1\ntype\n")


_BREAKS = st.sampled_from(
    ["\n", "\n\n\n", " # note\n", "\n  # own line\n", "\n// cel style\n", " # a\n\n # b\n\n\n# c\n"]
)


@settings(max_examples=60, deadline=None)
@given(models(), st.data())
def test_comments_and_meaning_survive(model: Json, data: st.DataObject) -> None:
    """Whatever stands between statements, formatting keeps meaning and comments and is stable."""
    lines = [line for line in json_to_dsl(model).split("\n") if line]
    in_body = False
    text = ""
    for line in lines:
        in_body = (in_body or line.endswith("{")) and line != "}"
        text += line + ("\n" if in_body else data.draw(_BREAKS))
    formatted = format_dsl(text)
    assert dsl_to_json(formatted) == dsl_to_json(text)
    assert format_dsl(formatted) == formatted
    assert _comments(formatted) == _comments(text)


def _comments(text: str) -> list[str]:
    return re.findall(r"# (?:note|own line|a|b|c)$|// cel style$", text, re.MULTILINE)


def test_what_cannot_be_laid_out_stays() -> None:
    """A text whose canonical layout would say something else is given back as it is."""
    text = "model\n  schema 1.1\ntype user// c\n"
    assert format_dsl(text) == text
