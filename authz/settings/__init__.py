"""Every setting of the service: name, meaning, default. Loaded by `cli` and by tests; used by `app`.

The tree has one section a topic, each in its own module. A setting `name` of section `part` is the flag `--part-name`,
the variable `AUTHZ_PART_NAME`, and `name` in the table `[part]` of the TOML file; one of no section lacks the part.
A flag wins over the environment, which wins over the TOML file (`--config`), which wins over the default. Tables and
lists of tables have no flag. Secrets have none either: they come from a file or from the environment.
"""

from __future__ import annotations

from authz.settings.load import load_settings
from authz.settings.tree import PREFIX, Settings
from authz.settings.types import InvalidSettings

__all__ = ["PREFIX", "InvalidSettings", "Settings", "load_settings"]
