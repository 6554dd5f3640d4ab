"""Tables of edge values: every scale, every code page, every tick.  Like those of tables.py."""
import datetime
import struct

import protocol as tds

D = datetime.date

# Collations: 20 bits of LCID, flags, a version, a sort id ([MS-TDS] 2.2.5.1.2); and Python's name of the code page.
UTF8_FLAG = 1 << 26
CODE_PAGES = {
    '437': (0x409, 30, 0, 'cp437', 'é─½'), '850': (0x409, 40, 0, 'cp850', 'éÐ¾'),
    '874': (0x41E, 0, 0, 'cp874', 'สวัสดี€'), '932': (0x411, 0, 0, 'cp932', 'ｱ日本表ソ①'), '936': (0x804, 0, 0, 'gbk', '中国镕'),
    '949': (0x412, 0, 0, 'cp949', '한국똠'), '950': (0x404, 0, 0, 'cp950', '中國許'), '1250': (0x415, 0, 0, 'cp1250', 'Łódź€'),
    '1251': (0x419, 0, 0, 'cp1251', 'Привет€'), '1252': (0x409, 52, 0, 'cp1252', 'Œuvre €ÿ'), '1252l': (0x409, 0, 0, 'cp1252', 'Œuvre €ÿ'),
    '1253': (0x408, 0, 0, 'cp1253', 'Ελλάς€'), '1254': (0x41F, 0, 0, 'cp1254', 'İstanbulğ€'), '1255': (0x40D, 0, 0, 'cp1255', 'שלום€'),
    '1256': (0x401, 0, 0, 'cp1256', 'سلام€'), '1257': (0x427, 0, 0, 'cp1257', 'Šiaulių€'), '1258': (0x42A, 0, 0, 'cp1258', 'Đăư€'),
    '65001': (0x409, 0, UTF8_FLAG, 'utf-8', 'ü€𝄞日本'),
}


def collation(name):
    lcid, sort_id, flags, _, _ = CODE_PAGES[name]
    return struct.pack('<IB', lcid | 1 << 20 | flags, sort_id)


def tables(make, table):
    """make(name, type_name, type_id, length, precision, scale, kind); table(columns, rows)."""
    number = make('id', 'int', 56, 4, 10, 0, tds.fixed(0x38, '<i'))
    return {
        'times': times(make, table, number),
        'decimals': decimals(make, table, number),
        'code_pages': code_pages(make, table, number),
        'ticks': table([number, make('v', 'datetime', 61, 8, 23, 3, tds.byte_len(0x6F, 8, tds.datetime8))],
                       [[i, (D(2000, 1, 1), i)] for i in range(300)]),
        'floats': floats(make, table, number),
        'others': others(make, table, number),
    }


def with_nulls(rows):
    return rows + [[len(rows) + 1] + [None] * (len(rows[0]) - 1)]


def times(make, table, number):
    """The first, the last, and the middle of a day, in each scale; offsets to either end."""
    columns, rows = [number], [[1], [2], [3]]
    for n in range(8):
        size = 3 if n <= 2 else 4 if n <= 4 else 5
        units = (0, 86400 * 10 ** n - 1, 43200 * 10 ** n + 1)
        columns += [make('time%d' % n, 'time(%d)' % n, 41, size, 8 + n + (n > 0), n, tds.timen(n)),
                    make('dt%d' % n, 'datetime2(%d)' % n, 42, size + 3, 19 + n + (n > 0), n, tds.datetime2n(n)),
                    make('off%d' % n, 'datetimeoffset(%d)' % n, 43, size + 5, 26 + n + (n > 0), n, tds.datetimeoffsetn(n))]
        for row, unit, day, minutes in zip(rows, units, (D(1, 1, 1), D(2024, 2, 28), D(1899, 12, 31)), (840, -840, -30)):
            row += [unit, (day, unit), (day, unit, minutes)]
    return table(columns, with_nulls(rows))


def decimals(make, table, number):
    """Of 38 digits in each scale, and of each precision: the least, the greatest, the next to zero on both sides, and zero."""
    columns, rows = [number], [[i] for i in range(1, 6)]
    for precision, scale in [(38, s) for s in range(39)] + [(p, p // 2) for p in range(1, 38)]:
        size = 5 if precision < 10 else 9 if precision < 20 else 13 if precision < 29 else 17
        columns.append(make('d%d_%d' % (precision, scale), 'decimal(%d,%d)' % (precision, scale), 106, size, precision, scale,
                            tds.decimaln(precision, scale, 0x6A)))
        for row, value in zip(rows, (1 - 10 ** precision, 10 ** precision - 1, -1, 1, 0)):
            row.append(value)
    return table(columns, with_nulls(rows))


def code_pages(make, table, number):
    """In each: char, varchar and varchar(max), whose chunks are cut in the midst of characters."""
    columns, row = [number], [1]
    for name, (_, _, _, codec, text) in CODE_PAGES.items():
        def encode(v, codec=codec):
            return v.encode(codec)
        bytes_5 = collation(name)
        columns += [make('char' + name, 'char(40)', 175, 40, 0, 0, tds.short_len(0xAF, 40, encode, bytes_5)),
                    make('vc' + name, 'varchar(40)', 167, 40, 0, 0, tds.short_len(0xA7, 40, encode, bytes_5)),
                    make('max' + name, 'varchar(max)', 167, -1, 0, 0, tds.plp(0xA7, encode, b'\xff\xff' + bytes_5, chunk=7001)),
                    make('text' + name, 'text', 35, 16, 0, 0, tds.long_len(0x23, encode, bytes_5))]
        padded = text + ' ' * (40 - len(text.encode(codec)))
        row += [padded, text, text * 10000, text * 3000]
    return table(columns, with_nulls([row]))


def floats(make, table, number):
    """As 64 and 32 bits: what is near to zero, and what is far from it."""
    doubles = (0x0000000000000000, 0x8000000000000000, 0x0000000000000001, 0x800FFFFFFFFFFFFF, 0x0010000000000000,
               0x7FEFFFFFFFFFFFFF, 0xFFEFFFFFFFFFFFFF, 0x3FD5555555555555)
    reals = (0x00000000, 0x80000000, 0x00000001, 0x807FFFFF, 0x00800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x3EAAAAAB)
    return table([number, make('d', 'float', 62, 8, 53, 0, tds.byte_len(0x6D, 8, lambda v: struct.pack('<Q', v))),
                  make('r', 'real', 59, 4, 24, 0, tds.byte_len(0x6D, 4, lambda v: struct.pack('<I', v)))],
                 with_nulls([[i + 1, d, r] for i, (d, r) in enumerate(zip(doubles, reals))]))


def others(make, table, number):
    """Chunks are cut in the midst of characters, and of pairs of UTF-16."""
    assembly = 'Microsoft.SqlServer.Types.SqlG%s, Microsoft.SqlServer.Types, Version=11.0.0.0, Culture=neutral'
    columns = [number,
               make('geometry', 'geometry', 240, -1, 0, 0, tds.udt('geometry', assembly % 'eometry')),
               make('geography', 'geography', 240, -1, 0, 0, tds.udt('geography', assembly % 'eography', chunk=5000)),
               make('json', 'json', 244, -1, 0, 0, tds.nvarchar_max()),
               make('nchar', 'nchar(4)', 239, 8, 0, 0, tds.nvarchar(4, 0xEF)),
               make('vbmax', 'varbinary(max)', 165, -1, 0, 0, tds.varbinary_max(known=False, chunk=65536)),
               make('xml', 'xml', 241, -1, 0, 0, tds.xml(chunk=9)),
               make('pair', 'xml', 241, -1, 0, 0, tds.xml(chunk=202)),
               make('half', 'xml', 241, -1, 0, 0, tds.xml(chunk=201)),
               make('guid', 'uniqueidentifier', 36, 16, 0, 0, tds.byte_len(0x24, 16, tds.guid))]
    point = bytes.fromhex('e6100000010c00000000000000400000000000000040')
    return table(columns, with_nulls([
        [1, point, b'\0' * 100000, '{"a": "𝄞"}', '𝄞𝄞', b'\0\1' * 100000, '<a>𝄞</a>', 'x' * 100 + '𝄞', 'x' * 100 + '𝄞', '01020304-0506-0708-090a-0b0c0d0e0f10'],
        [2, b'', point, '[]', '\uffff   ', b'\0' * 65536, '<b/>', '', 'x', '10000000-0000-0000-0000-000000000001']]))
