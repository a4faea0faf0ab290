"""The language as LL rules, over the raw tokens of `lexer`; the names of rules matter only inside this package.

Read by `network`. Notation: words in capitals are tokens, in small letters rules; `?`, `*`, `+`, `|` and parentheses
as usual; `!X` is any token but X; `A/B` is one of several tokens. Which rule a token belongs to decides where
recovery goes on, so the cut into rules follows the published parser even where fewer rules would do.
"""

from __future__ import annotations

RULES: dict[str, str] = {
    "source": "WHITESPACE? NEWLINE? (model_header | module_header) NEWLINE? types NEWLINE? conditions NEWLINE? EOF",
    "model_header": "(remark NEWLINE)? MODEL NEWLINE SCHEMA WHITESPACE SCHEMA_VERSION WHITESPACE?",
    "module_header": "(remark NEWLINE)? MODULE WHITESPACE word WHITESPACE?",
    "types": "type*",
    "type": "(NEWLINE remark)? NEWLINE (EXTEND WHITESPACE)? TYPE WHITESPACE name (NEWLINE RELATIONS relation+)?",
    "relation": "(NEWLINE remark)? NEWLINE DEFINE WHITESPACE name WHITESPACE? COLON WHITESPACE? definition",
    "definition": "(direct | reference | group) operators?",
    "definition_without_direct": "(reference | group_without_direct) operators?",
    "operators": (
        "(WHITESPACE OR WHITESPACE (reference | group_without_direct))+"
        " | (WHITESPACE AND WHITESPACE (reference | group_without_direct))+"
        " | (WHITESPACE BUT_NOT WHITESPACE (reference | group_without_direct))"
    ),
    "group": "LPAREN WHITESPACE* (definition | group_without_direct) WHITESPACE* RPAREN",
    "group_without_direct": "LPAREN WHITESPACE* (definition_without_direct | group_without_direct) WHITESPACE* RPAREN",
    "direct": "LBRACKET WHITESPACE? restriction WHITESPACE? (COMMA WHITESPACE? restriction WHITESPACE?)* RBRACKET",
    "reference": "name (WHITESPACE FROM WHITESPACE name)?",
    "restriction": (
        "NEWLINE? (restriction_base | (restriction_base WHITESPACE WITH WHITESPACE condition_name)) NEWLINE?"
    ),
    "restriction_base": "name ((COLON STAR) | (HASH name))?",
    "conditions": "condition*",
    "condition": (
        "(NEWLINE remark)? NEWLINE CONDITION WHITESPACE condition_name WHITESPACE?"
        " LPAREN WHITESPACE? parameter WHITESPACE? (COMMA WHITESPACE? parameter WHITESPACE?)* NEWLINE? RPAREN"
        " WHITESPACE? LBRACE NEWLINE? WHITESPACE? expression NEWLINE? RBRACE"
    ),
    "condition_name": "IDENTIFIER",
    "parameter": "NEWLINE? parameter_name WHITESPACE? COLON WHITESPACE? parameter_type",
    "parameter_name": "IDENTIFIER",
    "parameter_type": "PARAM_TYPE | (PARAM_CONTAINER LESS PARAM_TYPE GREATER)",
    "remark": "HASH (!NEWLINE)* (NEWLINE remark)?",
    "expression": "(!RBRACE)*",
    "word": "MODEL/SCHEMA/TYPE/RELATION/IDENTIFIER/MODULE/EXTEND",
    "name": "word | EXTENDED_IDENTIFIER",
}
START = "source"
