"""SELECTs that name columns, conditions and a limit, answered from rows: what is sent is done to the letter, and
what none of the services would take is refused.

  dialect = Dialect(quote, literals)       literals: [(regex, what makes a value of its match)]
  names, rows = dialect.select(statement, find)

find(source) is told what stands behind FROM, (True, query) or (False, object), and gives the names of its columns and
the rows: lists of pairs of a value (number, str, bool, Date, Moment, Local, None) and what is sent of it.  The
answer is each column, as (name, expression or None), and what is sent of the rows that fulfil the conditions.
"""

import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
OPERATORS = {"=": lambda a, b: a == b, "<>": lambda a, b: a != b, "<": lambda a, b: a < b,
             "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b}


class Wrong(Exception):
    """It is no statement that the service takes."""


class Date(int):
    """Days since 1970."""


class Moment(int):
    """Nanoseconds since 1970, in UTC."""


class Local(int):
    """The same without a zone."""


class Other:
    """What can't be compared."""


def date(text):
    return Date((datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=timezone.utc) - EPOCH).days)


def nanoseconds(text):
    """2024-01-31 12:34:56[.123456789]"""
    whole, _, fraction = text.replace("T", " ").partition(".")
    moment = datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
    return (moment - EPOCH) // timedelta(seconds=1) * 10 ** 9 + int((fraction + "0" * 9)[:9])


def moment(text):
    return Moment(nanoseconds(text))


def local(text):
    return Local(nanoseconds(text))


def kind(value):
    for cls, name in ((bool, "bool"), (Date, "date"), (Moment, "moment"), (Local, "local"),
                      (str, "text"), ((int, Decimal), "number")):
        if isinstance(value, cls):
            return name
    return "other"


class Text(str):
    """Compared as a collation does that takes capitals and small letters for the same."""

    def __eq__(self, other):
        return self.lower() == other.lower()

    __hash__ = str.__hash__


class Dialect:
    def __init__(self, quote, literals):
        self.name = re.compile("%s((?:[^%s]|%s%s)+)%s" % ((quote,) * 5))
        self.quote = quote
        self.literals = [(re.compile(pattern), make) for pattern, make in literals]
        self.text, self.at = "", 0

    def select(self, statement, find):
        wrapped = re.fullmatch(r"SELECT \* FROM \((.*)\n\) AS source((?: WHERE .*)?(?: LIMIT \d+)?)",
                               statement, re.DOTALL)
        plain = re.fullmatch(r"SELECT (.+?) FROM (\S+?)((?: WHERE .*)?(?: LIMIT \d+)?)", statement,
                             re.DOTALL)
        if not wrapped and not plain:
            raise Wrong("no such statement: " + statement)
        source = (True, wrapped[1]) if wrapped else (False, plain[2])
        names, rows = find(source)
        wanted = [(name, None) for name in names] if wrapped or plain[1] == "*" \
            else self.columns(plain[1], names)
        where, limit = re.fullmatch(r"(?: WHERE (.*?))?(?: LIMIT (\d+))?", (wrapped or plain)[2 if wrapped else 3],
                                    re.DOTALL).groups()
        holds = self.conditions(where, names) if where else lambda row: True
        found = [[row[names.index(name)][1] for name, _ in wanted] for row in rows
                 if holds({name: cell[0] for name, cell in zip(names, row)})]
        return wanted, found[:int(limit)] if limit else found

    def columns(self, text, names):
        wanted = []
        for part in split(text):
            match = re.fullmatch(r"(?:(.+) AS )?%s" % self.name.pattern, part)
            name = match and match[2].replace(self.quote * 2, self.quote)
            if name not in names:
                raise Wrong("no column: " + part)
            wanted.append((name, match[1]))
        return wanted

    def conditions(self, text, names):
        self.text, self.at = text, 0
        holds = self.conjunction(names)
        if self.at != len(text):
            raise Wrong("what is that: " + text[self.at:])
        return lambda row: holds(row) is True

    def take(self, pattern):
        match = re.compile(pattern).match(self.text, self.at)
        if match:
            self.at = match.end()
        return match

    def conjunction(self, names):
        parts = [self.part(names)]
        while self.take(" AND "):
            parts.append(self.part(names))
        return lambda row: all(part(row) is True for part in parts)

    def part(self, names):
        if self.take("CASE WHEN "):
            test = self.predicate(names)
            if not self.take(" THEN FALSE ELSE TRUE END"):
                raise Wrong("CASE has no end")
            return lambda row: test(row) is not True
        if not self.take(r"\((?=[`\"])"):
            return self.predicate(names)
        parts = [self.predicate(names)]
        while self.take(" OR "):
            parts.append(self.predicate(names))
        if not self.take(r"\)"):
            raise Wrong("a parenthesis is missing")
        return lambda row: any(part(row) is True for part in parts)

    def predicate(self, names):
        match = self.name.match(self.text, self.at)
        name = match and match[1].replace(self.quote * 2, self.quote)
        if name not in names:
            raise Wrong("no column: " + self.text[self.at:])
        self.at = match.end()
        test = self.take(" IS( NOT)? NULL")
        if test:
            return lambda row: (row[name] is None) != bool(test[1])
        if self.take(r" IN \("):
            values = [self.literal()]
            while self.take(", "):
                values.append(self.literal())
            if not self.take(r"\)"):
                raise Wrong("a parenthesis is missing")
            return lambda row: row[name] is not None and any(compare("=", row[name], v) for v in values)
        operator = self.take(r" (=|<>|<=|>=|<|>) ")
        if not operator:
            raise Wrong("no operator: " + self.text[self.at:])
        value = self.literal()
        return lambda row: None if row[name] is None else compare(operator[1], row[name], value)

    def literal(self):
        for pattern, make in self.literals:
            match = pattern.match(self.text, self.at)
            if match:
                self.at = match.end()
                return make(*match.groups())
        raise Wrong("no constant: " + self.text[self.at:])


def split(text):
    """At the commas that stand in no parentheses."""
    parts, depth = [""], 0
    for piece in re.split(r"(, |[()])", text):
        depth += {"(": 1, ")": -1}.get(piece, 0)
        if piece == ", " and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def compare(operator, a, b):
    if kind(a) != kind(b):
        raise Wrong("a %s is compared with a %s" % (kind(a), kind(b)))
    return OPERATORS[operator](a, b)


NUMBER = (r"(-?\d+(?:\.\d+)?)(?![\w'])", Decimal)
BOOLEAN = (r"(TRUE|FALSE)\b", lambda word: word == "TRUE")
