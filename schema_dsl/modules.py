"""Modules: several files that make up one model, and which module declared what.

Called by the package's `combine_modules`, `module_names` and, for a single module, by `dsl_to_json`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from schema_dsl.errors import DslError, DslSyntaxError, Range, UnprintableModelError
from schema_dsl.nodes import Condition, Model, Name, Origin, Relation, TypeDef
from schema_dsl.parser import parse
from schema_dsl.read_json import read_model
from schema_dsl.validation.check import check_model
from schema_dsl.write_json import model_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def combine_modules(files: Mapping[str, str] | Iterable[tuple[str, str]], schema_version: str) -> dict[str, Any]:
    """Combine module files into one JSON model, in which metadata tells the module and file of each declaration.

    Args:
        files: Name and text of each file, as a mapping or as pairs; order decides the order of types and errors.
        schema_version: The schema version of the model, as fga.mod gives it.

    Raises:
        DslSyntaxError: when the files cannot be combined or make no valid model; each error names its file.
    """
    pairs = files.items() if hasattr(files, "items") else files
    combination = _Combination()
    for name, text in pairs:
        combination.add(name, text)
    combination.extend_types()
    model = Model(Name(schema_version), None, tuple(combination.types.values()), tuple(combination.conditions.values()))
    errors = combination.errors + check_model(model, has_text=True)
    if errors:
        raise DslSyntaxError(errors)
    return model_json(model)


def module_names(model: object) -> list[str]:
    """Return the names of the modules that a JSON model was made of, sorted.

    Raises:
        UnprintableModelError: when the JSON is no model.
    """
    tree, errors = read_model(model)
    if tree is None:
        raise UnprintableModelError(errors)
    origins = [type_def.origin for type_def in tree.types]
    origins += [relation.origin for type_def in tree.types for relation in type_def.relations]
    origins += [condition.origin for condition in tree.conditions]
    return sorted({origin.module for origin in origins if origin.module})


def with_origins(model: Model, file: str | None = None) -> Model:
    """Return a module whose types, conditions and extending relations name the module and file they are from."""
    if model.module is None:
        return model
    origin = Origin(model.module.text, file)
    types = []
    for type_def in model.types:
        relations = type_def.relations
        if type_def.is_extension:
            relations = tuple(replace(relation, origin=origin) for relation in relations)
        types.append(replace(type_def, relations=relations, origin=origin))
    conditions = tuple(replace(condition, origin=origin) for condition in model.conditions)
    return replace(model, types=tuple(types), conditions=conditions)


class _Combination:
    """The declarations of all files so far, and what is wrong with them."""

    def __init__(self) -> None:
        self.types: dict[str, TypeDef] = {}
        self.conditions: dict[str, Condition] = {}
        self.errors: list[DslError] = []
        self._extensions: list[TypeDef] = []

    def add(self, file: str, text: str) -> None:
        """Take in one file; extensions wait until all types are known."""
        try:
            module = with_origins(parse(text), file)
        except DslSyntaxError as error:
            self.errors.extend(one.in_file(file) for one in error.errors)
            return
        if module.module is None:
            message = "this file is not a module: it must start with `module` and a name"
            self.errors.append(DslError(message, Range(0, 0), Range(0, 0), {"symbol": "", "file": file}, file))
            return
        for type_def in module.types:
            if type_def.is_extension:
                self._extensions.append(type_def)
            elif type_def.name.text in self.types:
                self._refuse(type_def.name, type_def.origin, f"type `{type_def.name.text}` is defined twice")
            else:
                self.types[type_def.name.text] = type_def
        for condition in module.conditions:
            if condition.name.text in self.conditions:
                self._refuse(condition.name, condition.origin, f"condition `{condition.name.text}` is defined twice")
            else:
                self.conditions[condition.name.text] = condition

    def extend_types(self) -> None:
        """Add the relations of all extensions to the types they extend."""
        for extension in self._extensions:
            name = extension.name
            known = self.types.get(name.text)
            if known is None:
                self._refuse(name, extension.origin, f"type `{name.text}` is extended but does not exist")
                continue
            self.types[name.text] = replace(known, relations=(*known.relations, *self._new_relations(known, extension)))

    def _new_relations(self, known: TypeDef, extension: TypeDef) -> list[Relation]:
        taken = {relation.name.text for relation in known.relations}
        added = []
        for relation in extension.relations:
            if relation.name.text in taken:
                message = f"relation `{relation.name.text}` is there already on type `{known.name.text}`"
                self._refuse(relation.name, relation.origin, message)
            else:
                added.append(relation)
        return added

    def _refuse(self, name: Name, origin: Origin, message: str) -> None:
        metadata = {"symbol": name.text, "module": origin.module or "", "file": origin.file or ""}
        lines, columns = (name.span.lines, name.span.columns) if name.span else (None, None)
        self.errors.append(DslError(message, lines, columns, metadata, origin.file))
