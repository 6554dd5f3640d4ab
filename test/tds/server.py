#!/usr/bin/env python3
"""A server of TDS 7.4 that knows a few tables: server.py --port-file FILE [options]

It is as strict as [MS-TDS] is: what a client may not send ends its connection, and is written to the
log.  The log has one JSON object a line: logins, statements, attentions, ends of connections, errors.
Everything a test wants to go wrong is a table of its own; see tables.py.
"""
import argparse
import json
import os
import re
import select
import socket
import ssl
import struct
import sys
import threading
import time

import protocol as tds
import tables

PACKET = 4096
PASSWORD = 'pass wörd €;\'"#'


class Gone(Exception):
    """The client has closed the connection."""


class Channel:
    """Packets over a socket, encrypted or not."""

    def __init__(self, sock):
        self.sock = sock
        self.tls = None         # SSLObject, once there is one
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.wrapped = False    # TLS goes inside of packets: the handshake
        self.packet_id = 0
        self.reply_type = tds.REPLY

    def recv_exactly(self, n):
        data = b''
        while len(data) < n:
            piece = self.recv_some(n - len(data))
            if not piece:
                raise Gone()
            data += piece
        return data

    def recv_some(self, n):
        if self.tls is None or self.wrapped:
            return self.sock.recv(n)
        while True:
            try:
                return self.tls.read(n)
            except ssl.SSLWantReadError:
                piece = self.sock.recv(65536)
                if not piece:
                    return b''
                self.incoming.write(piece)
            except ssl.SSLError:
                return b''

    def readable(self, timeout):
        if self.tls is not None and self.tls.pending():
            return True
        return bool(select.select([self.sock], [], [], timeout)[0])

    def send_raw(self, data):
        if self.tls is None or self.wrapped:
            self.sock.sendall(data)
            return
        self.tls.write(data)
        self.sock.sendall(self.outgoing.read())

    def read_packet(self):
        kind, status, length, spid, packet, window = struct.unpack('>BBHHBB', self.recv_exactly(8))
        tds.check(8 <= length <= 32767, 'length of a packet: %d' % length)
        tds.check(window == 0, 'window of a packet: %d' % window)
        return kind, status, self.recv_exactly(length - 8)

    def read_message(self):
        kind, data = None, b''
        while True:
            one, status, piece = self.read_packet()
            tds.check(kind in (None, one), 'a message of packets of two types')
            kind, data = one, data + piece
            if status & tds.EOM:
                return kind, data

    def send_packet(self, data, eom, kind=None):
        kind = kind or self.reply_type
        self.packet_id = self.packet_id % 255 + 1
        header = struct.pack('>BBHHBB', kind, tds.EOM if eom else 0, len(data) + 8, 51, self.packet_id, 0)
        self.send_raw(header + data)

    def send_message(self, data, kind=None):
        room = PACKET - 8
        data = memoryview(data)
        pieces = [bytes(data[at:at + room]) for at in range(0, len(data), room)] or [b'']
        for i, piece in enumerate(pieces):
            self.send_packet(piece, i == len(pieces) - 1, kind)

    def start_tls(self, context):
        """The handshake, each flight of it in PRELOGIN packets (2.2.6.5)."""
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.wrapped = True
        while True:
            try:
                self.tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            except ssl.SSLError as error:
                alert = self.outgoing.read()
                if alert:
                    self.send_message(alert, tds.PRELOGIN)
                raise Gone() from error
            flight = self.outgoing.read()
            if flight:
                self.send_message(flight, tds.PRELOGIN)
            if done:
                break
            kind, data = self.read_message()
            tds.check(kind == tds.PRELOGIN, 'a handshake in packets of type %d' % kind)
            self.incoming.write(data)
        self.wrapped = False


class Session(threading.Thread):
    def __init__(self, sock, server):
        super().__init__(daemon=True)
        self.channel = Channel(sock)
        self.sock = sock
        self.server = server
        self.number = server.connections
        self.textsize = 4096    # as for any DB-Library client that does not ask for more
        self.rowcount = None
        self.babelfish = server.arguments.version.startswith('Babelfish')

    def log(self, **what):
        self.server.log(**what)

    def run(self):
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.login():
                while True:
                    self.serve(*self.channel.read_message())
        except (Gone, OSError):
            self.log(event='end')
        except (tds.ProtocolError, struct.error, UnicodeError, IndexError, ssl.SSLError) as error:
            self.log(event='protocol error', what=repr(error))
        finally:
            self.sock.close()

    def login(self):
        arguments = self.server.arguments
        if arguments.mute:
            time.sleep(60)
            return False
        kind, data = self.channel.read_message()
        tds.check(kind == tds.PRELOGIN, 'no PRELOGIN comes first')
        wanted = tds.parse_prelogin(data)[1][0]
        # what a server answers (2.2.6.5): off 0, on 1, not supported 2, required 3
        how = arguments.encrypt
        if how in ('later', 'pretend') and self.number == 1:
            how = 'on'
        answer = {'on': {0: 1, 1: 1, 2: 3, 3: 3}[wanted], 'login': 0, 'later': 0, 'pretend': 0, 'none': 2}[how]
        self.channel.send_message(tds.prelogin_reply(answer))
        if answer == 3 and wanted == 2:
            return False
        if answer != 2:
            contexts = self.server.contexts
            self.channel.start_tls(contexts[(self.number - 1) % len(contexts)])
        kind, data = self.channel.read_message()
        if answer == 0:
            self.channel.tls = None
        if how == 'pretend':
            self.channel.reply_type = 0x17  # as a record of TLS begins
        tds.check(kind == tds.LOGIN7, 'no LOGIN7 after PRELOGIN')
        fields = tds.parse_login7(data)
        good = fields['user'] == 'reader' and fields['password'] == PASSWORD
        self.log(event='login', **{k: v for k, v in fields.items() if k != 'password'},
                 password_ok=fields['password'] == PASSWORD, encrypted=answer != 2)
        if not good:
            return self.refuse([(18456, "Login failed for user '%s'." % fields['user'], 14)])
        if fields['database'] not in ('', 'shop'):
            return self.refuse([(4060, 'Cannot open database "%s" requested by the login. The login failed.'
                                 % fields['database'], 11),
                                (18456, "Login failed for user '%s'." % fields['user'], 14)])
        if arguments.busy:
            return self.refuse([(40613, "Database 'shop' on server 'fake' is not currently available.", 17)])
        reply = tds.envchange(1, tds.b_varchar('shop'), tds.b_varchar('master'))
        reply += tds.message(5701, "Changed database context to 'shop'.", 0, 2, token=0xAB)
        reply += tds.envchange(7, b'\x05' + tds.LATIN1, b'\x00')
        reply += tds.loginack() + tds.envchange(4, tds.b_varchar(str(PACKET)), tds.b_varchar(str(PACKET)))
        if arguments.route:
            host, port = arguments.route.rsplit(':', 1)
            reply += tds.routing(host, int(port))
        self.channel.send_message(reply + tds.done())
        return True

    def refuse(self, messages):
        reply = b''.join(tds.message(n, text, severity) for n, text, severity in messages)
        self.channel.send_message(reply + tds.done(tds.DONE_ERROR))
        return False

    def serve(self, kind, data):
        if kind == tds.ATTENTION:
            self.log(event='attention')
            self.channel.send_message(tds.done(tds.DONE_ATTN))
            return
        tds.check(kind == tds.BATCH, 'a message of type %d' % kind)
        sql = tds.parse_batch(data)
        self.log(event='batch', sql=sql)
        try:
            self.answer(sql)
        except tables.Stop:
            self.sock.shutdown(socket.SHUT_RDWR)
            raise Gone() from None

    def answer(self, sql):
        rowcount = re.search(r'SET ROWCOUNT (\d+)', sql)
        if rowcount:
            self.rowcount = int(rowcount.group(1)) or None
        if self.babelfish and re.match('EXEC sp_describe|SET FMTONLY', sql):
            raise Gone()        # what it makes of them no reader can want
        described = re.match(r"EXEC sp_describe_first_result_set @tsql = N'(.*)'\Z", sql, re.S)
        if described:
            self.describe(described.group(1).replace("''", "'"))
        elif re.match(r'SET FMTONLY ON;', sql):
            body = sql[len('SET FMTONLY ON;'):sql.rindex(';SET FMTONLY OFF')].strip()
            table, columns, _ = self.find(body)
            reply = tds.done(tds.DONE_MORE) + tds.colmetadata([c.wire for c in columns])
            self.channel.send_message(reply + tds.done(tds.DONE_MORE | tds.DONE_COUNT) + tds.done())
        elif sql.startswith(('SET ', 'IF @@TRANCOUNT > 0 ROLLBACK;')):
            size = re.match(r'SET TEXTSIZE (-?\d+)', sql, re.I)
            if size:
                self.textsize = int(size.group(1))
            self.channel.send_message(b''.join(tds.done(tds.DONE_MORE) for _ in range(sql.count(';'))) + tds.done())
        elif sql.strip().lower() == 'select @@spid':
            self.rows([tds.Column('', (b'\x34', lambda v: struct.pack('<h', v)), False)], [[51]])
        elif sql == 'SELECT @@VERSION':
            self.rows([tds.Column('', tds.nvarchar(300))], [[self.server.arguments.version]])
        elif 'sys.columns' in sql:
            self.catalog(sql)
        else:
            self.select(sql)

    def rows(self, columns, rows):
        reply = tds.colmetadata(columns) + b''.join(tds.row(columns, r) for r in rows)
        self.channel.send_message(reply + tds.done(tds.DONE_COUNT, len(rows)))

    def error(self, number, text, severity=16, before=b''):
        self.channel.send_message(before + tds.message(number, text, severity) + tds.done(tds.DONE_ERROR))

    def find(self, sql):
        """The table, its selected columns and the limit of a statement; an error of its own number if none."""
        match = re.search(r'FROM (?:\[(\w+)\]|(\w+))\.(?:\[((?:[^\]]|\]\])+)\]|(\w+))', sql)
        if not match:
            raise LookupError(102, "Incorrect syntax near '%s'." % sql.split(' ')[0], 15)
        name = (match.group(3) or match.group(4)).replace(']]', ']')
        table = tables.TABLES.get(name)
        if table is None:
            raise LookupError(208, "Invalid object name '%s.%s'." % (match.group(1) or match.group(2), name), 16)
        listed = re.match(r'SELECT (?:TOP \((\d+)\) )?(.*?) FROM ', sql, re.S)
        columns = table.columns
        if listed.group(2) != '*':
            expressions = r'CASE CAST\(SQL_VARIANT_PROPERTY\(.*? END AS (\[[^\]]+\])'
            as_text = re.findall(expressions, listed.group(2))
            names = re.findall(r'\[((?:[^\]]|\]\])*)\]', re.sub(expressions, r'\1', listed.group(2)))
            by_name = {c.name: c.as_text if '[%s]' % c.name in as_text else c for c in table.columns}
            for one in names:
                if one.replace(']]', ']') not in by_name:
                    raise LookupError(207, "Invalid column name '%s'." % one, 16)
            columns = [by_name[one.replace(']]', ']')] for one in names]
        return table, columns, int(listed.group(1)) if listed.group(1) else None

    def describe(self, sql):
        columns = [tds.Column('is_hidden', tds.fixed(0x32, '<?'), False),
                   tds.Column('column_ordinal', tds.fixed(0x38, '<i'), False),
                   tds.Column('name', tds.nvarchar(128)),
                   tds.Column('is_nullable', tds.fixed(0x32, '<?'), False),
                   tds.Column('system_type_id', tds.fixed(0x38, '<i'), False),
                   tds.Column('system_type_name', tds.nvarchar(256)),
                   tds.Column('max_length', tds.fixed(0x34, '<h'), False),
                   tds.Column('precision', tds.fixed(0x30, '<B'), False),
                   tds.Column('scale', tds.fixed(0x30, '<B'), False)]
        if sql == 'SELECT 1 AS one':
            found = [tables.Column('one', 'int', 56, 4, 10, 0, (b'\x38', None), nullable=False)]
        else:
            try:
                table, found, _ = self.find(sql)
            except LookupError as error:
                self.error(*error.args)
                return
            if table.undescribed:
                self.error(11512, 'The metadata could not be determined because the statement is a test.')
                return
        rows = [[False, i + 1, c.name, c.nullable, c.type_id, c.type_name, c.length, c.precision, c.scale]
                for i, c in enumerate(found)]
        reply = tds.colmetadata(columns) + b''.join(tds.row(columns, r) for r in rows)
        # a procedure: DONEINPROC, its return value, DONEPROC
        self.channel.send_message(reply + tds.done(tds.DONE_MORE | tds.DONE_COUNT, len(rows), 0xFF)
                                  + b'\x79' + struct.pack('<i', 0) + tds.done(0, 0, 0xFE, 0xE0))

    def catalog(self, sql):
        columns = [tds.Column('name', tds.nvarchar(128), False), tds.Column('column_name', tds.nvarchar(128)),
                   tds.Column('type_id', tds.fixed(0x38, '<i')), tds.Column('type_name', tds.nvarchar(128)),
                   tds.Column('precision', tds.fixed(0x30, '<B'), False),
                   tds.Column('scale', tds.fixed(0x30, '<B'), False),
                   tds.Column('is_nullable', tds.byte_len(0x68, 1, lambda v: bytes([v])))]
        schema = re.search(r"s\.name = N'((?:[^']|'')*)'", sql).group(1)
        only = re.search(r'o\.name IN \((.*?)\)', sql.split('s.name = ')[1])
        names = sorted(tables.TABLES) if schema == 'dbo' else []
        if only:
            wanted = [n.replace("''", "'") for n in re.findall(r"N'((?:[^']|'')*)'", only.group(1))]
            names = [n for n in names if n in wanted]
        oids = 16384 if self.babelfish else 0
        rows = [[n, c.name, c.type_id + oids, c.type_name.split('(')[0], c.precision, c.scale, int(c.nullable)]
                for n in names for c in tables.TABLES[n].columns]
        if schema.startswith('no '):
            rows = [[None if schema == 'no table' else 't', None if schema == 'no column' else 'c', 56, 'int', 10, 0, 1]]
        self.rows(columns, rows)

    def select(self, sql):
        try:
            table, columns, limit = self.find(sql)
        except LookupError as error:
            self.error(*error.args)
            return
        wire = [c.wire for c in columns]
        places = [[c.name for c in table.columns].index(c.name) for c in columns]
        buffer = tds.colmetadata(wire)
        count = 0
        limit = limit if self.rowcount is None else self.rowcount
        for item in table.rows():
            if isinstance(item, list):
                if limit is not None and count == limit:
                    break
                count += 1
                values = [item[p] for p in places]
                buffer += (tds.nbcrow if table.compact else tds.row)(wire, values)
            elif isinstance(item, bytes):
                buffer += item
            else:
                buffer = self.flush(buffer)
                if buffer is None or not item(self):
                    return
            while len(buffer) > PACKET * 4:
                buffer = self.flush(buffer, PACKET - 8)
                if buffer is None:
                    return
        self.channel.send_message(buffer + tds.done(tds.DONE_COUNT, count + table.miscount))

    def flush(self, buffer, keep=0):
        """Sends whole packets; None: the client wanted no more."""
        room = PACKET - 8
        view = memoryview(buffer)
        at = 0
        while len(buffer) - at > keep:
            if self.channel.readable(0) and self.attended():
                return None
            self.channel.send_packet(bytes(view[at:at + room]), False)
            at += room
        return bytes(view[at:])

    def attended(self):
        kind, status, data = self.channel.read_packet()
        tds.check(kind == tds.ATTENTION, 'a message of type %d while rows are sent' % kind)
        self.log(event='attention')
        self.channel.send_packet(tds.done(tds.DONE_ATTN), True)
        return True

    def wait(self, seconds):
        """False: the client wanted no more."""
        return not (self.channel.readable(seconds) and self.attended())


class Server:
    def __init__(self, arguments):
        self.arguments = arguments
        self.lock = threading.Lock()
        self.connections = 0
        self.contexts = []
        for cert in arguments.cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.maximum_version = ssl.TLSVersion.TLSv1_2    # all that there is in TDS 7.4
            context.load_cert_chain(cert, cert[:-len('pem')] + 'key')
            self.contexts.append(context)

    def log(self, **what):
        with self.lock, open(self.arguments.log, 'a', encoding='utf-8') as file:
            file.write(json.dumps(what, ensure_ascii=False) + '\n')

    def serve(self):
        listener = socket.create_server(('127.0.0.1', self.arguments.port))
        with open(self.arguments.port_file + '.new', 'w', encoding='ascii') as file:
            file.write(str(listener.getsockname()[1]))
        os.rename(self.arguments.port_file + '.new', self.arguments.port_file)
        while True:
            sock = listener.accept()[0]
            self.connections += 1
            Session(sock, self).start()


def end_with(parent):
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--port', type=int, default=0)
    parser.add_argument('--port-file', required=True)
    parser.add_argument('--log', required=True)
    parser.add_argument('--cert', action='append', default=[], help='.pem beside its .key; several: in turn, one a connection')
    parser.add_argument('--encrypt', choices=('on', 'login', 'later', 'pretend', 'none'), default='on')
    parser.add_argument('--version', default='Microsoft SQL Server 2019 (RTM-CU22) (KB5027702) - 15.0.4322.2 (X64) \n\tfake')
    parser.add_argument('--route', help='HOST:PORT to send clients to')
    parser.add_argument('--busy', action='store_true', help='refuse logins as Azure SQL does while it moves')
    parser.add_argument('--mute', action='store_true', help='accept connections and never answer')
    parser.add_argument('--parent-pid', type=int)
    arguments = parser.parse_args()
    if arguments.parent_pid:
        threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    Server(arguments).serve()


if __name__ == '__main__':
    sys.exit(main())
