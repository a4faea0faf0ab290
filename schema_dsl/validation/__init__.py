"""What a well-formed model must also fulfil: names, references, entry points, no duplicates, used conditions.

Entered through `validation.check.check_model`. The kinds of errors (`errorType`) and their order are those of the
published validators of the modelling language.
"""
