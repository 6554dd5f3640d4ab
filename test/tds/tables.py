"""The tables of the fake server: what they are made of, what is in them, and what goes wrong with them."""
import datetime
import struct

import edges
import protocol as tds

D = datetime.date


class Stop(Exception):
    """The connection is to be cut."""


class Column:
    """A column as the catalog has it, and as it is on the wire."""

    def __init__(self, name, type_name, type_id, length, precision, scale, kind, nullable=True, user_type=0):
        self.name, self.type_name, self.type_id = name, type_name, type_id
        self.length, self.precision, self.scale, self.nullable = length, precision, scale, nullable
        self.wire = tds.Column(name, kind, nullable, user_type)
        self.as_text = self


class Table:
    def __init__(self, columns, rows, undescribed=False, compact=False, miscount=0):
        self.columns, self.undescribed, self.compact, self.miscount = columns, undescribed, compact, miscount
        self.rows = rows if callable(rows) else lambda: iter(rows)


def number(name='id', nullable=False):
    kind = tds.intn(4) if nullable else tds.fixed(0x38, '<i')
    return Column(name, 'int', 56, 4, 10, 0, kind, nullable)


def text(name='v', n=100):
    return Column(name, 'nvarchar(%d)' % n, 231, n * 2, 0, 0, tds.nvarchar(n))


def variant(name='v'):
    """Plain, its values have types of their own; by the expression that makes a text of it, it is one."""
    column = Column(name, 'sql_variant', 98, 8016, 0, 0, tds.variant())
    column.as_text = Column(name, 'nvarchar(max)', 231, -1, 0, 0, tds.nvarchar_max())
    return column


GUID = '00112233-4455-6677-8899-aabbccddeeff'
LONG = 'ü€𝄞x' * 30000
MAX38 = 10 ** 38 - 1


def all_types():
    """Columns with their values: the least, the greatest, and what is between."""
    def column(name, type_name, type_id, length, precision, scale, kind, *values):
        return Column(name, type_name, type_id, length, precision, scale, kind), values
    return [
        (number(), (1, 2, 3)),
        column('c_bit', 'bit', 104, 1, 1, 0, tds.byte_len(0x68, 1, lambda v: bytes([v])), 0, 1, 1),
        column('c_tinyint', 'tinyint', 48, 1, 3, 0, tds.intn(1), 0, 255, 128),
        column('c_smallint', 'smallint', 52, 2, 5, 0, tds.intn(2), -32768, 32767, -1),
        column('c_int', 'int', 56, 4, 10, 0, tds.intn(4), -2147483648, 2147483647, -1),
        column('c_bigint', 'bigint', 127, 8, 19, 0, tds.intn(8), -2 ** 63, 2 ** 63 - 1, -1),
        column('c_real', 'real', 59, 4, 24, 0, tds.byte_len(0x6D, 4, lambda v: struct.pack('<f', v)),
               -3.4028234663852886e38, 1.401298464324817e-45, 0.1),
        column('c_float', 'float', 62, 8, 53, 0, tds.byte_len(0x6D, 8, lambda v: struct.pack('<d', v)),
               -1.7976931348623157e308, 5e-324, 0.1),
        column('c_dec38', 'decimal(38,0)', 106, 17, 38, 0, tds.decimaln(38, 0, 0x6A), -MAX38, MAX38, 0),
        column('c_dec38_38', 'decimal(38,38)', 106, 17, 38, 38, tds.decimaln(38, 38, 0x6A), -MAX38, 1, 0),
        column('c_num9_4', 'numeric(9,4)', 108, 5, 9, 4, tds.decimaln(9, 4), -999999999, 5, 10000),
        column('c_num19_2', 'numeric(19,2)', 108, 9, 19, 2, tds.decimaln(19, 2), -(10 ** 19 - 1), 10 ** 19 - 1, 123),
        column('c_num28_9', 'numeric(28,9)', 108, 13, 28, 9, tds.decimaln(28, 9), -(10 ** 28 - 1), 10 ** 28 - 1, 1),
        column('c_money', 'money', 60, 8, 19, 4, tds.byte_len(0x6E, 8, tds.money), -2 ** 63, 2 ** 63 - 1, -1),
        column('c_smallmoney', 'smallmoney', 122, 4, 10, 4,
               tds.byte_len(0x6E, 4, lambda v: v.to_bytes(4, 'little', signed=True)), -2 ** 31, 2 ** 31 - 1, 12345),
        column('c_date', 'date', 40, 3, 10, 0, tds.daten(), D(1, 1, 1), D(9999, 12, 31), D(2024, 2, 29)),
        column('c_time7', 'time(7)', 41, 5, 16, 7, tds.timen(7), 0, 863999999999, 452961234565),
        column('c_time0', 'time(0)', 41, 3, 8, 0, tds.timen(0), 0, 86399, 45296),
        column('c_time3', 'time(3)', 41, 4, 12, 3, tds.timen(3), 0, 86399999, 45296123),
        column('c_datetime', 'datetime', 61, 8, 23, 3, tds.byte_len(0x6F, 8, tds.datetime8),
               (D(1753, 1, 1), 0), (D(9999, 12, 31), 25919999), (D(1900, 1, 1), 2)),
        column('c_smalldatetime', 'smalldatetime', 58, 4, 16, 0, tds.byte_len(0x6F, 4, tds.datetime4),
               (D(1900, 1, 1), 0), (D(2079, 6, 6), 1439), (D(2024, 2, 29), 61)),
        column('c_datetime2', 'datetime2(7)', 42, 8, 27, 7, tds.datetime2n(7),
               (D(1, 1, 1), 0), (D(9999, 12, 31), 863999999999), (D(2024, 2, 29), 452961234564)),
        column('c_datetime2_0', 'datetime2(0)', 42, 6, 19, 0, tds.datetime2n(0),
               (D(1, 1, 1), 0), (D(9999, 12, 31), 86399), (D(2024, 2, 29), 45296)),
        column('c_offset', 'datetimeoffset(7)', 43, 10, 34, 7, tds.datetimeoffsetn(7),
               (D(1, 1, 1), 504000000000, 840), (D(9999, 12, 31), 359999999999, -840), (D(2024, 2, 29), 254961234565, 330)),
        column('c_offset3', 'datetimeoffset(3)', 43, 9, 30, 3, tds.datetimeoffsetn(3),
               (D(1970, 1, 1), 0, 0), (D(1999, 12, 31), 86399999, 60), (D(2024, 2, 29), 25496123, -330)),
        column('c_char', 'char(5)', 175, 5, 0, 0, tds.varchar(5, 0xAF), 'ab   ', '     ', 'äß€xy'),
        column('c_varchar', 'varchar(50)', 167, 50, 0, 0, tds.varchar(50), '', "it's € ÿ", 'x' * 50),
        column('c_varchar_max', 'varchar(max)', 167, -1, 0, 0, tds.varchar_max(), '', 'é' * 100000, 'y'),
        column('c_text', 'text', 35, 16, 0, 0, tds.long_len(0x23, tds.cp1252, tds.LATIN1), '', 'long é' * 5000, 'z'),
        column('c_nchar', 'nchar(4)', 239, 8, 0, 0, tds.nvarchar(4, 0xEF), 'é   ', '    ', '𝄞日本'),
        column('c_nvarchar', 'nvarchar(50)', 231, 100, 0, 0, tds.nvarchar(50), '', '日本語 𝄞 ñ', 'Ω' * 50),
        column('c_nvarchar_max', 'nvarchar(max)', 231, -1, 0, 0, tds.nvarchar_max(chunk=4093), '', LONG, 'w'),
        column('c_ntext', 'ntext', 99, 16, 0, 0, tds.long_len(0x63, tds.utf16, tds.LATIN1), '', '語' * 40000, 'v'),
        column('c_binary', 'binary(4)', 173, 4, 0, 0, tds.varbinary(4, 0xAD), b'\0\1\2\3', b'\xff' * 4, b'\0' * 4),
        column('c_varbinary', 'varbinary(50)', 165, 50, 0, 0, tds.varbinary(50), b'', bytes(range(50)), b'\0'),
        column('c_varbinary_max', 'varbinary(max)', 165, -1, 0, 0, tds.varbinary_max(known=False),
               b'', bytes(range(256)) * 400, b'\0\0'),
        column('c_image', 'image', 34, 16, 0, 0, tds.long_len(0x22, tds.same), b'', b'\x89PNG' * 30000, b'\0'),
        column('c_uuid', 'uniqueidentifier', 36, 16, 0, 0, tds.byte_len(0x24, 16, tds.guid),
               '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', GUID),
        column('c_xml', 'xml', 241, -1, 0, 0, tds.xml(), '', '<a b="é">' + 'x' * 70000 + '</a>', '<r/>'),
        column('c_hierarchyid', 'hierarchyid', 240, 892, 0, 0,
               tds.udt('hierarchyid', 'Microsoft.SqlServer.Types.SqlHierarchyId'), b'', b'\x5a\xc0', b'\x58'),
        (Column('c_rowversion', 'timestamp', 189, 8, 0, 0, tds.varbinary(8, 0xAD), user_type=80),
         (b'\0' * 8, b'\xff' * 8, b'\0\0\0\0\0\0\7\xd1')),
    ]


TYPES = all_types()


def rows_of(types):
    return [[values[i] for _, values in types] for i in range(3)] + [[4] + [None] * (len(types) - 1)]


def endless(pause=0.0):
    def rows():
        for i in range(100_000_000):
            yield [i, 'row %d' % i]
            if pause:
                yield lambda session: session.wait(pause)
    return rows


def cut(after):
    """The connection ends in the middle of a row."""
    def rows():
        for i in range(after):
            yield [i, 'row %d' % i]
        yield b'\xd1' + struct.pack('<i', after) + struct.pack('<H', 20) + b'r\0o\0'
        yield lambda session: (_ for _ in ()).throw(Stop())
    return rows


def cut_between():
    """The connection ends behind a whole row."""
    for i in range(10):
        yield [i, 'row %d' % i]
    yield lambda session: (_ for _ in ()).throw(Stop())


def cut_before_decimal():
    """Behind the first column: what would be the length of a decimal is read from nothing."""
    yield [1, 100]
    yield b'\xd1' + struct.pack('<i', 2)
    yield lambda session: (_ for _ in ()).throw(Stop())


def fails():
    for i in range(5):
        yield [i, 'row %d' % i]
    yield tds.message(8134, 'Divide by zero error encountered.', 16, 1, line=3, procedure='dbo.ratio')


def killed():
    yield [1, 'one']
    yield tds.message(596, 'Cannot continue the execution because the session is in the kill state.', 21)
    yield lambda session: (_ for _ in ()).throw(Stop())


def informed():
    yield [1, 'one']
    yield tds.message(8153, 'Warning: Null value is eliminated by an aggregate or other SET operation.', 0, token=0xAB)
    yield [2, 'two']


def slow():
    """Nothing for a long time, then a row."""
    yield lambda session: session.wait(30)
    yield [1, 'one']


def stalls():
    """Stops in the middle of a row, and does not even hear attentions."""
    yield [1, 'one']
    yield b'\xd1' + struct.pack('<i', 2)
    yield lambda session: __import__('time').sleep(30) or False


def big():
    """100 MB in one field, without its length before it."""
    yield [1, 'é' + 'x' * (100 * 1000 * 1000 - 2)]


def two_results():
    yield [1, 'one']
    yield tds.done(tds.DONE_MORE | tds.DONE_COUNT, 1)
    yield tds.colmetadata([tds.Column('other', tds.fixed(0x38, '<i'), False)])


def beyond():
    """Values that the types they are announced as can't have, one in each row but the first and the last."""
    columns = [number(),
               Column('n', 'decimal(38,0)', 106, 17, 38, 0, tds.decimaln(77, 0, 0x6A)),
               Column('dt', 'datetime', 61, 8, 23, 3, tds.byte_len(0x6F, 8, lambda v: struct.pack('<iI', *v))),
               Column('t', 'time(7)', 41, 5, 16, 7, tds.timen(7)),
               Column('d2', 'datetime2(7)', 42, 8, 27, 7, tds.datetime2n(7))]
    rows = [[i, None, None, None, None] for i in range(6)]
    rows[1][1] = 10 ** 77 - 1
    rows[2][2] = (2 ** 31 - 1, 0)
    rows[3][3] = 2 ** 40 - 1
    rows[4][4] = (D(2024, 2, 29), 2 ** 40 - 1)
    return Table(columns, rows)


def wide():
    return [number()] + [number('c%d' % i, True) for i in range(1, 1000)]


ID_V = [number(), text()]

TABLES = {
    'types': Table([c for c, _ in TYPES], rows_of(TYPES)),
    'types_compact': Table([c for c, _ in TYPES], rows_of(TYPES), compact=True),
    'variants': Table([number(), variant()], [[1, '-7'], [2, None], [3, '2024-02-29 12:34:56.1234567 +05:30']]),
    'not_null': Table([number(), Column('b', 'bit', 104, 1, 1, 0, tds.fixed(0x32, '<?'), False),
                       Column('t', 'tinyint', 48, 1, 3, 0, tds.fixed(0x30, '<B'), False),
                       Column('s', 'smallint', 52, 2, 5, 0, tds.fixed(0x34, '<h'), False),
                       Column('l', 'bigint', 127, 8, 19, 0, tds.fixed(0x7F, '<q'), False),
                       Column('r', 'real', 59, 4, 24, 0, tds.fixed(0x3B, '<f'), False),
                       Column('f', 'float', 62, 8, 53, 0, tds.fixed(0x3E, '<d'), False),
                       Column('m', 'money', 60, 8, 19, 4, (b'\x3c', tds.money), False),
                       Column('sm', 'smallmoney', 122, 4, 10, 4, tds.fixed(0x7A, '<i'), False),
                       Column('dt', 'datetime', 61, 8, 23, 3, (b'\x3d', tds.datetime8), False),
                       Column('sdt', 'smalldatetime', 58, 4, 16, 0, (b'\x3a', tds.datetime4), False)],
                      [[1, True, 255, -32768, -2 ** 63, 0.5, 0.1, -10001, 123456, (D(2024, 2, 29), 1), (D(2024, 2, 29), 1439)]]),
    'empty': Table(ID_V, []),
    'two': Table(ID_V, [[1, 'one'], [2, None]]),
    'twice': Table([number(), Column('v', 'numeric', 108, 17, 38, 38, tds.decimaln(14, 2))], [[1, 2100]]),
    'undescribed': Table(ID_V, [[1, 'one']], undescribed=True),
    'unnamed': Table([number(), number('', True)], [[1, 2]], undescribed=True),
    'odd ]name.x"': Table([number(), text('odd ]col"')], [[1, 'x']]),
    'beyond': beyond(),
    'wide': Table(wide(), [list(range(1000)), [7] + [None] * 999]),
    'big': Table([number(), Column('v', 'varchar(max)', 167, -1, 0, 0, tds.varchar_max(known=False, chunk=1 << 20))], big),
    'endless': Table(ID_V, endless()),
    'trickle': Table(ID_V, endless(0.2)),
    'slow': Table(ID_V, slow),
    'stalls': Table(ID_V, stalls),
    'cut': Table(ID_V, cut(1500)),
    'cut_at_once': Table(ID_V, cut(0)),
    'cut_between': Table(ID_V, cut_between),
    'cut_before_decimal': Table([number(), Column('v', 'numeric(9,4)', 108, 5, 9, 4, tds.decimaln(9, 4))], cut_before_decimal),
    'fails': Table(ID_V, fails),
    'killed': Table(ID_V, killed),
    'informed': Table(ID_V, informed),
    'too_few': Table(ID_V, [[1, 'one'], [2, 'two']], miscount=1),
    'two_results': Table(ID_V, two_results),
    'bad_text': Table(ID_V, [[1, 'fine?'], [2, 'half \ud834 of a pair'], [3, 'nul \0 in it'], [4, 'fine']]),
    'unknown_type': Table([number(), Column('v', 'vector(3)', 255, 20, 0, 0, tds.varbinary(20))], []),
}
TABLES.update(edges.tables(Column, Table))
