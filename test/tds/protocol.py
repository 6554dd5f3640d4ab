"""The wire of TDS 7.4, written from [MS-TDS]: packets, tokens and types, from the server's side.

Values are given as Python objects and written as the document says, byte by byte; nothing is taken
from a client library.
"""
import datetime
import struct
import uuid

# packet types (2.2.3.1.1)
BATCH, RPC, REPLY, ATTENTION, LOGIN7, PRELOGIN = 0x01, 0x03, 0x04, 0x06, 0x10, 0x12
EOM, RESET = 0x01, 0x08

# DONE status (2.2.7.6)
DONE_MORE, DONE_ERROR, DONE_COUNT, DONE_ATTN, DONE_SRVERROR = 0x01, 0x02, 0x10, 0x20, 0x100

NULLABLE = 0x0001
LATIN1 = bytes([0x09, 0x04, 0xD0, 0x00, 0x34])   # SQL_Latin1_General_CP1_CI_AS
DAYS_0001_TO_1900 = 693595


class ProtocolError(Exception):
    pass


def check(good, what):
    if not good:
        raise ProtocolError(what)


def b_varchar(text):
    data = text.encode('utf-16-le')
    return bytes([len(data) // 2]) + data


def us_varchar(text):
    data = text.encode('utf-16-le', 'surrogatepass')
    return struct.pack('<H', len(data) // 2) + data


# types: (TYPE_INFO, value -> bytes), 2.2.5.4 to 2.2.5.6

def fixed(token, fmt):
    return bytes([token]), lambda v: struct.pack(fmt, v)


def byte_len(token, size, pack):
    """BYTELEN: a length of 0 is NULL."""
    def write(v):
        if v is None:
            return b'\x00'
        data = pack(v)
        return bytes([len(data)]) + data
    return bytes([token, size]), write


def intn(size):
    return byte_len(0x26, size, lambda v: v.to_bytes(size, 'little', signed=size > 1))


def money(v):
    """The high four bytes come first, each half with its low byte first."""
    data = v.to_bytes(8, 'big', signed=True)
    return data[3::-1] + data[:3:-1]


def days_1900(d):
    return (d - datetime.date(1900, 1, 1)).days


def datetime8(v):
    date, ticks = v
    return struct.pack('<iI', days_1900(date), ticks)


def datetime4(v):
    date, minutes = v
    return struct.pack('<HH', days_1900(date), minutes)


def decimaln(precision, scale, token=0x6C):
    size = 5 if precision < 10 else 9 if precision < 20 else 13 if precision < 29 else 17 if precision < 39 else 33

    def write(v):
        if v is None:
            return b'\x00'
        return bytes([size, 1 if v >= 0 else 0]) + abs(v).to_bytes(size - 1, 'little')
    return bytes([token, size, precision, scale]), write


def guid(v):
    """Data1 to Data3 with the low byte first, Data4 as it is ([MS-DTYP] 2.3.4)."""
    u = uuid.UUID(v)
    return struct.pack('<IHH', u.time_low, u.time_mid, u.time_hi_version) + u.bytes[8:]


def date3(d):
    return (d.toordinal() - 1).to_bytes(3, 'little')


def time_bytes(units, scale):
    return units.to_bytes(3 if scale <= 2 else 4 if scale <= 4 else 5, 'little')


def daten():
    return bytes([0x28]), lambda v: b'\x00' if v is None else b'\x03' + date3(v)


def scaled(token, scale, pack):
    def write(v):
        if v is None:
            return b'\x00'
        data = pack(v)
        return bytes([len(data)]) + data
    return bytes([token, scale]), write


def timen(scale):
    return scaled(0x29, scale, lambda v: time_bytes(v, scale))


def datetime2n(scale):
    return scaled(0x2A, scale, lambda v: time_bytes(v[1], scale) + date3(v[0]))


def datetimeoffsetn(scale):
    return scaled(0x2B, scale, lambda v: time_bytes(v[1], scale) + date3(v[0]) + struct.pack('<h', v[2]))


def short_len(token, size, encode, collation=b''):
    """USHORTLEN: 0xFFFF is NULL."""
    def write(v):
        if v is None:
            return b'\xff\xff'
        data = encode(v)
        check(len(data) <= size, 'value longer than its column')
        return struct.pack('<H', len(data)) + data
    return bytes([token]) + struct.pack('<H', size) + collation, write


def utf16(v):
    return v.encode('utf-16-le', 'surrogatepass') if isinstance(v, str) else v


def cp1252(v):
    return v.encode('cp1252')


def same(v):
    return v


def nvarchar(n, token=0xE7):
    return short_len(token, n * 2, utf16, LATIN1)


def varchar(n, token=0xA7):
    return short_len(token, n, cp1252, LATIN1)


def varbinary(n, token=0xA5):
    return short_len(token, n, same)


def plp(token, encode, info=b'', chunk=8000, known=True):
    """PARTLENTYPE: a total or 'unknown', then chunks, then one of length 0 (2.2.5.2.3)."""
    def write(v):
        if v is None:
            return b'\xff' * 8
        data = encode(v)
        total = struct.pack('<Q', len(data)) if known else b'\xfe' + b'\xff' * 7
        parts = [total]
        for at in range(0, len(data), chunk):
            piece = data[at:at + chunk]
            parts.append(struct.pack('<I', len(piece)) + piece)
        return b''.join(parts) + b'\x00' * 4
    return bytes([token]) + info, write


def nvarchar_max(**more):
    return plp(0xE7, utf16, b'\xff\xff' + LATIN1, **more)


def varchar_max(**more):
    return plp(0xA7, cp1252, b'\xff\xff' + LATIN1, **more)


def varbinary_max(**more):
    return plp(0xA5, same, b'\xff\xff', **more)


def xml(**more):
    return plp(0xF1, utf16, b'\x00', **more)


def udt(name, assembly, **more):
    info = struct.pack('<H', 0xFFFF) + b_varchar('db') + b_varchar('sys') + b_varchar(name) + us_varchar(assembly)
    return plp(0xF0, same, info, **more)


def long_len(token, encode, collation=b'', table='t'):
    """text, ntext, image: a text pointer and timestamp before the value (2.2.5.2.2.1, 2.2.7.17)."""
    def write(v):
        if v is None:
            return b'\x00'
        data = encode(v)
        return b'\x10' + b'dummy textptr\0\0\0' + b'dummyTS\0' + struct.pack('<I', len(data)) + data
    return bytes([token]) + struct.pack('<I', 0x7FFFFFFF) + collation + b'\x01' + us_varchar(table), write


def variant():
    """sql_variant: length, base type, its properties, value (2.2.5.5.4).  A value is (type, props, bytes)."""
    def write(v):
        if v is None:
            return struct.pack('<I', 0)
        base, props, data = (0xE7, LATIN1 + struct.pack('<H', 8000), utf16(v)) if isinstance(v, str) else v
        return struct.pack('<IBB', 2 + len(props) + len(data), base, len(props)) + props + data
    return b'\x62' + struct.pack('<I', 8009), write


class Column:
    def __init__(self, name, kind, nullable=True, user_type=0):
        self.name, self.nullable, self.user_type = name, nullable, user_type
        self.info, self.write = kind


def colmetadata(columns):
    out = [b'\x81', struct.pack('<H', len(columns))]
    for column in columns:
        # a text pointer's table name stands between TYPE_INFO and ColName, and is part of info here
        out.append(struct.pack('<IH', column.user_type, NULLABLE if column.nullable else 0))
        out.append(column.info)
        out.append(b_varchar(column.name))
    return b''.join(out)


def row(columns, values):
    return b'\xd1' + b''.join(c.write(v) for c, v in zip(columns, values))


def nbcrow(columns, values):
    """A row with a bitmap of its NULLs, which then have no bytes of their own (2.2.7.13)."""
    bits = bytearray((len(columns) + 7) // 8)
    for i, v in enumerate(values):
        if v is None:
            bits[i // 8] |= 1 << (i % 8)
    return b'\xd2' + bytes(bits) + b''.join(c.write(v) for c, v in zip(columns, values) if v is not None)


def done(status=0, count=0, token=0xFD, command=0xC1):
    return struct.pack('<BHHQ', token, status, command, count)


def message(number, text, severity=16, state=1, server='fake', procedure='', line=1, token=0xAA):
    body = struct.pack('<iBB', number, state, severity) + us_varchar(text) + b_varchar(server)
    body += b_varchar(procedure) + struct.pack('<i', line)
    return bytes([token]) + struct.pack('<H', len(body)) + body


def loginack():
    body = b'\x01' + bytes([0x74, 0, 0, 4]) + b_varchar('Microsoft SQL Server') + bytes([15, 0, 16, 0])
    return b'\xad' + struct.pack('<H', len(body)) + body


def envchange(kind, new, old):
    body = bytes([kind]) + new + old
    return b'\xe3' + struct.pack('<H', len(body)) + body


def routing(host, port):
    value = b'\x00' + struct.pack('<H', port) + us_varchar(host)
    return envchange(20, struct.pack('<H', len(value)) + value, b'\x00\x00')


def parse_login7(data):
    """Checks a LOGIN7 message (2.2.6.4) and returns its fields."""
    length, version, packet, program, pid, connection = struct.unpack_from('<6I', data)
    check(length == len(data), 'LOGIN7 has another length than it says')
    check(version == 0x74000004, 'LOGIN7 is not of TDS 7.4: %#x' % version)
    flags1, flags2, type_flags, flags3 = data[24:28]
    fields = {}
    at = 36
    for name in ('host', 'user', 'password', 'app', 'server', 'extension', 'library', 'language', 'database'):
        offset, count = struct.unpack_from('<HH', data, at)
        at += 4
        if name == 'extension':
            continue
        check(offset + count * 2 <= len(data), name + ' of LOGIN7 is outside of it')
        raw = data[offset:offset + count * 2]
        if name == 'password':
            # each byte was turned by four bits, then xor 0xA5
            raw = bytes((b ^ 0xA5) << 4 & 0xF0 | (b ^ 0xA5) >> 4 for b in raw)
        fields[name] = raw.decode('utf-16-le')
    fields['read_only'] = bool(type_flags & 0x20)
    fields['packet_size'] = packet
    return fields


def parse_batch(data):
    """ALL_HEADERS (2.2.5.3), then the text in UTF-16."""
    total = struct.unpack_from('<I', data)[0]
    check(4 <= total <= len(data), 'ALL_HEADERS of a batch are too long')
    at = 4
    while at < total:
        length, kind = struct.unpack_from('<IH', data, at)
        check(length >= 6 and kind in (1, 2, 3), 'unknown header of a batch')
        at += length
    check(at == total, 'headers of a batch overlap its text')
    return data[total:].decode('utf-16-le')


def parse_prelogin(data):
    options = {}
    at = 0
    while data[at] != 0xFF:
        token, offset, length = struct.unpack_from('>BHH', data, at)
        check(offset + length <= len(data), 'option of PRELOGIN is outside of it')
        options[token] = data[offset:offset + length]
        at += 5
    check(0 in options and len(options[0]) == 6, 'PRELOGIN has no version')
    check(1 in options and len(options[1]) == 1, 'PRELOGIN says nothing of encryption')
    return options


def prelogin_reply(encryption):
    values = [(0, bytes([15, 0, 16, 0, 0, 0])), (1, bytes([encryption])), (2, b'\x00'), (3, b''), (4, b'\x00')]
    offset = 5 * len(values) + 1
    head, body = b'', b''
    for token, value in values:
        head += struct.pack('>BHH', token, offset + len(body), len(value))
        body += value
    return head + b'\xff' + body
