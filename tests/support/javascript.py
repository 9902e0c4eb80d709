"""What names a script of the page declares and uses; as much of JavaScript as its modules are written in."""

import re

# Strings, comments and what matches text; a template's text ends at its next value, or its end.
_TEXT = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'"""
    r"""|(?:(?<=[(,=:!&|?{;>\[])\s*|(?<=return) )/(?![/*])(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\[\n])+/[a-z]*""",
    re.S,
)
_TEMPLATE_TEXT = re.compile(r"(?:\\.|\$(?!\{)|[^`\\$])*", re.S)
_NAME = r"[A-Za-z_$][\w$]*"
# No property of something, and no key of an object.
_USE = re.compile(rf"(?<![\w$#])(?<!(?<!\.\.)\.)({_NAME})(?![\w$])")
_KEY_BEFORE, _KEY_AFTER = re.compile(r"[{,]\s*$"), re.compile(r"\s*:")
_METHOD = re.compile(rf"^\s+(?:(?:async|get|set|static) )*({_NAME})(?=\(.*\) \{{$)", re.M)
_NAMED = re.compile(rf"\b(?:function\*?|class|import \* as) ({_NAME})|({_NAME}) =>")
_DECLARES = re.compile(r"\b(?:const|let|import) ")
_TAKES = re.compile(
    r"\bfunction\*? ?\w*\(|\bcatch \(|^\s+(?:(?:async|set|static) )*\w+\((?=.*\{$)", re.M
)
_WORD, _NEXT = re.compile(r"[\w$]+"), re.compile(r",\s*")
_DEFAULT = re.compile(r"=(?!>)[^,}\])]*")
_OPEN, _CLOSED = "([{", ")]}"


def code_of(source: str) -> str:
    """Without strings, comments and the text of templates, whose values stay, in parentheses of their own."""
    told: list[str] = []
    # Of each template that a value is read of: braces that are open in that.
    braces: list[int] = []
    at = 0
    while at < len(source):
        char = source[at]
        if char == "`" or (char == "}" and braces and braces[-1] == 0):
            told.append("(" if char == "`" else ")")
            if char == "}":
                braces.pop()
            text = _TEMPLATE_TEXT.match(source, at + 1)
            assert text is not None
            at = text.end()
            if source[at] == "`":
                told.append(")")
                at += 1
            else:
                told.append(";(")
                braces.append(0)
                at += 2
        elif (text := _TEXT.match(source, at)) is not None:
            told.append('""')
            at = text.end()
        else:
            if braces:
                braces[-1] += (char == "{") - (char == "}")
            told.append(char)
            at += 1
    return "".join(told)


def used(code: str) -> set[str]:
    """Names that stand for themselves: no properties, keys or methods' own."""
    methods = {found.start(1) for found in _METHOD.finditer(code)}
    return {
        found[1]
        for found in _USE.finditer(code)
        if found.start(1) not in methods and not _is_key(code, found.start(1), found.end(1))
    }


def _is_key(code: str, start: int, end: int) -> bool:
    return bool(_KEY_AFTER.match(code, end) and _KEY_BEFORE.search(code, max(0, start - 80), start))


def declared(code: str) -> set[str]:
    """Names that are imported, made, or taken as parameters, anywhere in the file."""
    names = {name for found in _NAMED.findall(code) for name in found if name}
    for found in _DECLARES.finditer(code):
        names |= _declarators(code, found.end())
    for found in _TAKES.finditer(code):
        end = _end(code, found.end() - 1)
        # A call of something with a function looks like a method as far as its line goes.
        if code.startswith(" {", end + 1):
            names |= _bound(code[found.end() : end])
    for found in re.finditer(r"\) =>", code):
        names |= _bound(code[_begin(code, found.start()) + 1 : found.start()])
    return names


def _declarators(code: str, at: int) -> set[str]:
    """Of one ``const`` or ``let``: several are one after another."""
    names: set[str] = set()
    while True:
        end = _end(code, at) + 1 if code[at] in _OPEN else at + len(_word(code, at))
        names |= _bound(code[at:end])
        depth = 0
        while end < len(code) and depth >= 0 and not (depth == 0 and code[end] in ",;"):
            depth += (code[end] in _OPEN) - (code[end] in _CLOSED)
            end += 1
        following = _NEXT.match(code, end)
        if following is None:
            return names
        at = following.end()


def _word(code: str, at: int) -> str:
    found = _WORD.match(code, at)
    return found[0] if found else ""


def _bound(pattern: str) -> set[str]:
    """Names that parameters, or what is taken apart, give values to."""
    plain = _DEFAULT.sub("", pattern)
    return set(re.findall(rf"({_NAME})(?![\w$])(?!\s*:)", plain))


def _end(code: str, at: int) -> int:
    """Where the bracket that opens there is closed."""
    depth = 0
    for end in range(at, len(code)):
        depth += (code[end] in _OPEN) - (code[end] in _CLOSED)
        if depth == 0:
            return end
    raise ValueError("a bracket stays open")


def _begin(code: str, at: int) -> int:
    """Where the bracket that is closed there opens."""
    depth = 0
    for begin in range(at, -1, -1):
        depth += (code[begin] in _CLOSED) - (code[begin] in _OPEN)
        if depth == 0:
            return begin
    raise ValueError("a bracket is closed that none opens")
