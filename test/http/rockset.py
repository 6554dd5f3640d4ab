#!/usr/bin/env python3
"""A fake of Rockset's API for the tests: rockset.py PORT_FILE LOG

Everything but what is answered is as in elasticsearch.py.  Of the state it uses auth, rules and
  queries      {SQL: {"rows": [text of a row, ...], "fields": [...] or nothing, "running": polls}}
  collections  [[workspace, name], ...]
A statement that is none of the queries is looked for as a SELECT of columns of one that is SELECT * and DESCRIBE.
"""
import json
import re
from urllib.parse import unquote

import elasticsearch as base
from fakehttp import select
from elasticsearch import Refused, members, state, want


SQL = select.Dialect('"', [
    (r"(-?\d+)(?![\w.'])", int), select.BOOLEAN, (r"'((?:[^']|'')*)'", lambda text: text.replace("''", "'")),
    (r"PARSE_DATE_ISO8601\('([^'T]*)'\)", select.date), (r"PARSE_DATETIME_ISO8601\('([^'Z ]*)'\)", select.local),
    (r"PARSE_TIMESTAMP_ISO8601\('([^' ]*)Z'\)", select.moment)])


def typed(value, kind):
    if isinstance(value, dict):
        value = value.get('value')
    if value is None or kind in ('int', 'string', 'bool'):
        return value
    if kind == 'date':
        return select.date(value)
    if kind in ('datetime', 'timestamp'):
        return (select.local if kind == 'datetime' else select.moment)(value.rstrip('Z'))
    return select.Other()


def find_query(text):
    """None: there is no such thing."""
    if text in state['queries']:
        return state['queries'][text]

    def find(source):
        described = state['queries'].get('DESCRIBE ' + source[1])
        result = state['queries'].get('SELECT * FROM ' + source[1])
        if source[0] or not described or not result:
            raise select.Wrong('unknown')
        kinds = {}
        for row in map(json.loads, described['rows']):
            if len(row['field']) == 1 and row['type'] not in ('null', 'undefined'):
                kinds[row['field'][0]] = 'other' if row['field'][0] in kinds else row['type']
        rows = [json.loads(row) for row in result['rows']]
        return list(kinds), [[(typed(row.get(name), kind), row.get(name, select)) for name, kind in kinds.items()]
                             for row in rows]
    try:
        wanted, rows = SQL.select(text, find)
    except select.Wrong:
        return None
    return {'rows': [json.dumps({name: value for (name, _), value in zip(wanted, row) if value is not select})
                     for row in rows]}


def page(query_id, at, count):
    result = find_query(state['known'][query_id])
    rows = result['rows'][at:at + count]
    after = 'null'
    if at + count < len(result['rows']):
        after = '"c%d"' % (at + count)
    return ('"results":[%s],"results_total_doc_count":%d,"pagination":{"start_cursor":"c0",'
            '"next_cursor":%s,"next_cursor_offset":null,"current_page_doc_count":%d,"next_page_link":null}'
            % (','.join(rows), state.pop('lie', len(result['rows'])), after, len(rows)))


def submit(body):
    members(body, ('sql',), ('max_initial_results', 'timeout_ms', 'async'))
    members(body['sql'], ('query',), ('parameters', 'default_row_limit'))
    want(0 < body.get('timeout_ms', 1) <= (1800000 if body.get('async') else 120000), 'timeout_ms')
    want(0 <= body.get('max_initial_results', 1) <= 100000, 'max_initial_results')
    text = body['sql']['query']
    result = find_query(text)
    want(result is not None, 'Collection not found', kind='INVALIDINPUT')
    state['serial'] += 1
    ident = f'6a1c-{state["serial"]}:abc'
    state['known'][ident] = text
    if body.get('async') or result.get('running'):
        state['polls'][ident] = result.get('running', 1)
        return '{"query_id":"%s","status":"QUEUED","results":[],"stats":{"elapsed_time_ms":0}}' % ident
    fields = ''
    if 'fields' in result:
        fields = '"column_fields":%s,' % json.dumps(result['fields'])
    return '{"query_id":"%s","status":"COMPLETED",%s%s}' % (
        ident, fields, page(ident, 0, body.get('max_initial_results', 100000)))


def answer(method, path, query, body):
    parts = [unquote(part) for part in path.strip('/').split('/')]
    want(parts[:3] == ['v1', 'orgs', 'self'], 'not found', 404, 'NOTFOUND')
    state.setdefault('known', {})
    state.setdefault('polls', {})
    rest = parts[3:]
    if method == 'GET' and not rest:
        return '{"data":{"id":"1","display_name":"x"}}'
    if method == 'GET' and rest == ['collections']:
        return json.dumps({'data': [{'workspace': w, 'name': n, 'status': 'READY'}
                                    for w, n in state['collections']]})
    if method == 'POST' and rest in (['queries'], ['virtualinstances', 'vi1', 'queries']):
        return submit(body)
    want(len(rest) in (2, 3) and rest[0] == 'queries' and rest[1] in state['known'], 'not found', 404,
         'NOTFOUND')
    if method == 'GET' and len(rest) == 2:
        members(query, ())
        state['polls'][rest[1]] -= 1
        if state['polls'][rest[1]] > 0:
            return '{"data":{"query_id":"%s","status":"RUNNING"}}' % rest[1]
        return '{"data":{"query_id":"%s","status":"COMPLETED","pagination":{"start_cursor":"c0"}}}' % rest[1]
    if method == 'GET' and rest[2] == 'pages':
        members(query, ('docs',), ('cursor', 'offset'))
        return '{%s}' % page(rest[1], int(query.get('cursor', 'c0')[1:]), int(query['docs']))
    want(method == 'DELETE' and len(rest) == 2, 'method', 405, 'METHODNOTALLOWED')
    state['closed'] += 1
    return '{"data":{"query_id":"%s","status":"CANCELLED"}}' % rest[1]


def error_text(refusal):
    kind = 'AUTHEXCEPTION' if refusal.status == 401 else refusal.kind.upper()
    return json.dumps({'message': refusal.args[0], 'type': kind, 'line': None, 'column': None,
                       'trace_id': 't', 'error_id': 'e', 'query_id': None})


base.answer = answer
base.error_text = error_text
base.main()
