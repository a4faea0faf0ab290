"""Where the changes of tests come from. Used by every test that writes to a datastore."""

from __future__ import annotations

from authz.call import Origin

ANNE = Origin("anne")
BOB = Origin("bob")
