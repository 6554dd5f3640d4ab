#!/usr/bin/env python3
"""A fake Elasticsearch or OpenSearch for the tests: elasticsearch.py PORT_FILE LOG

Listens on 127.0.0.1.  It refuses what the real ones would: wrong credentials, unknown paths,
parameters and members of bodies, bodies that are no JSON, other content types, pages that are too
large, points in time and cursors that are not open, sort keys that the version does not have.

POST /_control takes JSON, whose members replace those of the state:
  flavor "elasticsearch" | "opensearch", build ("default" | "serverless"), version, auth (accepted Authorization headers)
  indices  {name: {"mapping": {...}, "docs": [[id, text of _source], ...]}}
  aliases  {name: [indices]}, streams {name: [indices]}
  queries  {SQL: {"columns": [...], "rows": [text of a row, ...]}}
  rules    [{"path": P, "method": M, "nth": N, "times": K, "status": S, "body": text,
             "headers": {}, "cut": bytes, "total": N}]: the Nth request of a path (and the K-1 after
             it) is answered with that, or cut off, or lies about its total
GET /_control: open points in time and cursors, and the counts of requests.
"""
import fnmatch
import json
import re
import sys
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, unquote, urlsplit

from fakehttp import alone

FRESH = {
    'flavor': 'elasticsearch', 'build': 'default', 'version': '8.19.0', 'auth': [], 'indices': {}, 'aliases': {},
    'streams': {}, 'queries': {}, 'rules': [], 'pits': {}, 'cursors': {}, 'counts': {}, 'serial': 0,
    'closed': 0, 'used': {},
}
state = json.loads(json.dumps(FRESH))
lock = threading.Lock()


class Refused(Exception):
    def __init__(self, status, kind, reason):
        super().__init__(reason)
        self.status, self.kind, self.reason = status, kind, reason


def want(condition, reason, status=400, kind='illegal_argument_exception'):
    if not condition:
        raise Refused(status, kind, reason)


def members(body, needed, optional=()):
    want(isinstance(body, dict), 'request body is required')
    for name in needed:
        want(name in body, f'missing [{name}]')
    for name in body:
        want(name in needed or name in optional, f'unknown field [{name}]',
             kind='x_content_parse_exception')


def duration(text):
    want(isinstance(text, str) and text[-1:] in 'smh' and text[:-1].isdigit(),
         f'failed to parse [{text}] as a time value')


def hides_vectors():
    """Documents come without them since 9.2, and in the cloud's own flavor."""
    return not opensearch() and (version() >= (9, 2) or state['build'] == 'serverless')


def opensearch():
    return state['flavor'] == 'opensearch'


def version():
    return tuple(int(part) for part in state['version'].split('.')[:2])


def resolve(names):
    found = []
    for name in names.split(','):
        if name in state['aliases']:
            found += state['aliases'][name]
        elif name in state['streams']:
            found += state['streams'][name]
        elif name in state['indices']:
            found.append(name)
        else:
            many = [i for i in state['indices'] if '*' in name and fnmatch.fnmatch(i, name)]
            want(many or '*' in name, f'no such index [{name}]', 404, 'index_not_found_exception')
            found += many
    return sorted(set(found))


def get_path(document, path):
    for part in path.split('.'):
        if path in document:
            return document[path]
        document = document.get(part) if isinstance(document, dict) else None
        if document is None:
            return None
    return document


def definition(properties, path):
    for name, field in properties.items():
        if name == path:
            return field
        if path.startswith(name + '.'):
            found = definition(field.get('properties', {}), path[len(name) + 1:])
            if found:
                return found
    return None


def milliseconds(text):
    moment = datetime.fromisoformat(re.sub(r'(\.\d{3})\d*', r'\1', text.replace('Z', '+00:00')))
    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)


def indexed(value, field, mapping):
    """What the index has of a value, which is not what the document has: None for nothing."""
    kind = field['type']
    if kind == 'date':
        try:
            return milliseconds(value)
        except ValueError:
            return None  # ignore_malformed
    if kind in ('byte', 'short', 'integer', 'long'):
        return int(float(value)) if isinstance(value, str) or isinstance(value, float) else value
    if kind == 'boolean':
        return value in (True, 'true')
    if kind == 'keyword' and len(value) > field.get('ignore_above', 8191):
        return None
    return value.lower() if field.get('normalizer') == 'lowercase' else value


def index_values(doc, mapping, path):
    ident, document = doc
    if path == '_id':
        return {'type': 'keyword'}, [ident]
    field = definition(mapping.get('properties', {}), path)
    if field is None:
        return {}, []
    want(field.get('index', True), f'Cannot search on field [{path}] since it is not indexed.', kind='query_shard_exception')
    values = get_path(document, path)
    values = values if isinstance(values, list) else [values]
    if values == [None] and 'null_value' in field:
        values = [field['null_value']]
    return field, [v for v in (indexed(value, field, mapping) for value in values if value is not None)
                   if v is not None]


LIMITS = {'byte': 2 ** 7, 'short': 2 ** 15, 'integer': 2 ** 31, 'long': 2 ** 63}


def constant(value, field, format=None):
    """A value that a field is compared with; those of other types are refused."""
    kind = field.get('type')
    if kind in LIMITS:
        want(isinstance(value, int) and not isinstance(value, bool) and -LIMITS[kind] <= value < LIMITS[kind],
             f'failed to create query: {value} is out of range for {kind}', kind='query_shard_exception')
    elif kind == 'date':
        want(format == 'strict_date_optional_time', 'the test wants a format')
        return milliseconds(value)
    elif kind == 'boolean':
        want(isinstance(value, bool), 'no boolean')
    elif kind == 'keyword':
        want(isinstance(value, str), 'no text')
        return value.lower() if field.get('normalizer') == 'lowercase' else value
    return value


RANGES = {'gte': lambda a, b: a >= b, 'gt': lambda a, b: a > b, 'lte': lambda a, b: a <= b, 'lt': lambda a, b: a < b}


def matches(query, doc, mapping):
    want(len(query) == 1, 'query malformed')
    (kind, clause), = query.items()
    if kind == 'match_all':
        return True
    if kind == 'bool':
        members(clause, (), ('must', 'filter', 'must_not', 'should', 'minimum_should_match'))
        return (all(matches(q, doc, mapping) for name in ('must', 'filter') for q in clause.get(name, []))
                and not any(matches(q, doc, mapping) for q in clause.get('must_not', []))
                and ('should' not in clause or any(matches(q, doc, mapping) for q in clause['should'])))
    if kind == 'exists':
        return bool(index_values(doc, mapping, clause['field'])[1])
    want(kind in ('term', 'terms', 'range') and len(clause) == 1, f'unknown query [{kind}]')
    (path, given), = clause.items()
    field, values = index_values(doc, mapping, path)
    if kind == 'range':
        bounds = dict(given)
        format = bounds.pop('format', None)
        return any(all(RANGES[name](value, constant(bound, field, format)) for name, bound in bounds.items())
                   for value in values)
    given = given if kind == 'terms' else [given['value'] if isinstance(given, dict) else given]
    return any(value == constant(one, field) for value in values for one in given)


def sort_keys(body):
    keys = []
    for entry in body['sort']:
        if isinstance(entry, str):
            entry = {entry: 'asc'}
        for name, order in entry.items():
            if isinstance(order, dict):
                order = order.get('order', 'asc')
            want(order in ('asc', 'desc'), f'no order [{order}]')
            if name == '_shard_doc':
                want(not opensearch() or version() >= (3, 3),
                     'No mapping found for [_shard_doc] in order to sort on',
                     kind='query_shard_exception')
            keys.append((name, order))
    return keys


def sort_value(key, index, number, doc):
    if key == '_shard_doc':
        return (index << 32) + number
    if key == '_index':
        return doc[0]
    if key == '_id':
        return doc[1]
    return get_path(json.loads(doc[2]), key)


def before(a, b, keys):
    for (_, order), x, y in zip(keys, a, b):
        if x != y:
            return (x < y) == (order == 'asc')
    return False


def search(body):
    members(body, ('size', 'pit', 'query', 'sort', 'track_total_hits', '_source'),
            ('search_after', 'min_score', 'post_filter', 'runtime_mappings', 'timeout'))
    members(body['pit'], ('id', 'keep_alive'))
    duration(body['pit']['keep_alive'])
    want(0 < body['size'] <= 10000,
         'Result window is too large, from + size must be less than or equal to: [10000]')
    pit = state['pits'].get(body['pit']['id'])
    if pit is None:
        raise Refused(404, 'search_context_missing_exception', 'No search context found for id [462]')
    keys = sort_keys(body)
    hits = []
    for i, name in enumerate(pit):
        for n, (ident, source) in enumerate(state['indices'][name]['docs']):
            if matches(body['query'], (ident, json.loads(source)), state['indices'][name]['mapping']):
                doc = (name, ident, source)
                hits.append(([sort_value(k, i, n, doc) for k, _ in keys], doc))
    for at in range(len(keys) - 1, -1, -1):
        hits.sort(key=lambda hit: hit[0][at], reverse=keys[at][1] == 'desc')
    total = len(hits)
    if 'search_after' in body:
        want(len(body['search_after']) == len(keys),
             f'search_after has {len(body["search_after"])} value(s) but sort has {len(keys)}')
        hits = [hit for hit in hits if before(body['search_after'], hit[0], keys)]
    out = []
    for values, (name, ident, source) in hits[:body['size']]:
        out.append('{"_index":%s,"_id":%s,"_score":null,%s"sort":%s}' % (
            json.dumps(name), json.dumps(ident), filtered(body['_source'], source, state['indices'][name]['mapping']),
            json.dumps(values)))
    state['serial'] += 1
    new = f'pit-{state["serial"]}=='
    state['pits'][new] = state['pits'].pop(body['pit']['id'])
    state['used'][body['pit']['id']] = new
    counted = ''
    if body['track_total_hits']:
        counted = '"total":{"value":%d,"relation":"eq"},' % state.pop('lie', total)
    return ('{"pit_id":"%s","took":3,"timed_out":false,"_shards":{"total":2,"successful":2,'
            '"skipped":0,"failed":0},"hits":{%s"max_score":null,"hits":[%s]}}'
            % (new, counted, ','.join(out)))


def filtered(wanted, source, mapping):
    if wanted is False:
        return ''
    hidden = hides_vectors()
    if isinstance(wanted, dict):
        want(hidden, 'Unknown key for a VALUE_BOOLEAN in [exclude_vectors].', kind='parsing_exception')
        members(wanted, ('exclude_vectors',), ('includes',))
        want(wanted['exclude_vectors'] is False, 'the test wants the vectors')
        hidden, wanted = False, wanted.get('includes', True)
    document = json.loads(source)
    vectors = [k for k, v in mapping.get('properties', {}).items() if v.get('type') == 'dense_vector']
    if hidden and any(name in document for name in vectors):
        source = json.dumps({k: v for k, v in document.items() if k not in vectors})
        document = json.loads(source)
    if wanted is True:
        return '"_source":' + source + ','
    want(isinstance(wanted, list) and wanted, '_source malformed')
    kept = {k: v for k, v in document.items()
            if any(w == k or w.startswith(k + '.') or k.startswith(w + '.') for w in wanted)}
    return '"_source":' + json.dumps(kept) + ','


def open_pit(name, query):
    if opensearch():
        members(query, ('keep_alive', 'allow_partial_pit_creation'))
        want(query['allow_partial_pit_creation'] == 'false', 'the test wants no partial ones')
    else:
        members(query, ('keep_alive',))
    duration(query['keep_alive'])
    indices = resolve(name)
    want(version() >= ((2, 4) if opensearch() else (7, 10)), 'unknown path')
    state['serial'] += 1
    ident = f'pit-{state["serial"]}=='
    state['pits'][ident] = indices
    shards = '"_shards":{"total":2,"successful":2,"skipped":0,"failed":0}'
    if opensearch():
        return '{"pit_id":"%s",%s,"creation_time":1658146050064}' % (ident, shards)
    return '{"id":"%s",%s}' % (ident, shards)


def sql(body):
    if 'cursor' in body:
        members(body, ('cursor',))
        if body['cursor'] not in state['cursors']:
            raise Refused(404, 'search_context_missing_exception', 'No search context found for id [1]')
        key, at, size, family = state['cursors'].pop(body['cursor'])
        state['used'][body['cursor']] = family
    elif opensearch():
        family = None
        members(body, ('query',), ('fetch_size',))
        key, at, size = body['query'], 0, body.get('fetch_size', 10000)
    else:
        family = None
        members(body, ('query', 'fetch_size', 'field_multi_value_leniency', 'page_timeout'),
                ('request_timeout',))
        duration(body['page_timeout'])
        want(isinstance(body['field_multi_value_leniency'], bool), 'no boolean')
        key, at, size = body['query'], 0, body['fetch_size']
    want(0 < size <= 10000, 'Result window is too large, from + size must be less than [10000]')
    want(not key.endswith(';'), "line 1:9: extraneous input ';'", kind='parsing_exception')
    result = state['queries'].get(key)
    want(result is not None, "line 1:8: Unknown column [x]", kind='verification_exception')
    rows = result['rows'][at:at + size]
    cursor = ''
    grouped = opensearch() and re.search(r'(?i)\b(group|distinct)\b(?!")', key)
    if opensearch() and 'cursor' not in body and (grouped or 'fetch_size' not in body):
        # No pages of groups: the older engine has 200 of them, the newer one some more.
        rows = result['rows'][:200 if 'fetch_size' in body else 1000 if version() < (3, 0) else 10000]
    elif at + size < len(result['rows']) or (opensearch() and rows):
        state['serial'] += 1
        ident = f'n:{state["serial"]}=='
        state['cursors'][ident] = (key, at + size, size, family or ident)
        cursor = ',"cursor":"%s"' % ident
    if opensearch():
        return '{"schema":%s,"datarows":[%s],"total":%d,"size":%d,"status":200%s}' % (
            json.dumps(result['columns']), ','.join(rows), len(rows), len(rows), cursor)
    columns = '"columns":%s,' % json.dumps(result['columns']) if at == 0 else ''
    return '{%s"rows":[%s]%s}' % (columns, ','.join(rows), cursor)


def close_pit(body):
    if opensearch():
        members(body, ('pit_id',))
        want(isinstance(body['pit_id'], list), 'pit_id must be a list')
        idents = body['pit_id']
    else:
        members(body, ('id',))
        idents = [body['id']]
    for ident in idents:
        while ident in state['used']:
            ident = state['used'][ident]
        if state['pits'].pop(ident, None) is None:
            raise Refused(404, 'search_context_missing_exception', 'No search context found')
        state['closed'] += 1
    return '{"succeeded":true,"num_freed":2}'


def close_cursor(body):
    members(body, ('cursor',))
    family = (state['cursors'].get(body['cursor']) or [state['used'].get(body['cursor'])])[-1]
    found = [c for c, entry in state['cursors'].items() if entry[3] == family]
    for cursor in found:
        del state['cursors'][cursor]
    if not found:
        raise Refused(404, 'search_context_missing_exception', 'No search context found')
    state['closed'] += 1
    return '{"succeeded":true}'


def answer(method, path, query, body):
    parts = [unquote(part) for part in path.strip('/').split('/')]
    if method == 'GET' and path == '/':
        return json.dumps({
            'name': 'n1', 'cluster_name': 'c',
            'version': {'number': state['version'],
                        **({'distribution': 'opensearch'} if opensearch() else {'build_flavor': state['build']})},
            'tagline': 'The OpenSearch Project: https://opensearch.org/' if opensearch()
                       else 'You Know, for Search'})
    if method == 'GET' and parts[1:] == ['_mapping']:
        members(query, ())
        return json.dumps({name: {'mappings': state['indices'][name]['mapping']}
                           for name in resolve(parts[0])})
    if method == 'GET' and path == '/_resolve/index/*':
        members(query, ())
        inner = {i: s for s, list_ in state['streams'].items() for i in list_}
        return json.dumps({
            'indices': [{'name': i, 'attributes': ['open'],
                         **({'data_stream': inner[i]} if i in inner else {})}
                        for i in state['indices']],
            'aliases': [{'name': a, 'indices': i} for a, i in state['aliases'].items()],
            'data_streams': [{'name': s, 'backing_indices': i, 'timestamp_field': '@timestamp'}
                             for s, i in state['streams'].items()]})
    if method == 'POST' and path == '/_search':
        members(query, ('allow_partial_search_results',))
        want(query['allow_partial_search_results'] == 'false', 'the test wants no partial ones')
        return search(body)
    if opensearch():
        if method == 'POST' and parts[1:] == ['_search', 'point_in_time']:
            want(body is None, 'no body expected')
            return open_pit(parts[0], query)
        if method == 'DELETE' and path == '/_search/point_in_time':
            return close_pit(body)
        if method == 'POST' and path == '/_plugins/_sql':
            want(query == {'format': 'jdbc'}, 'unknown format')
            return sql(body)
        if method == 'POST' and path == '/_plugins/_sql/close':
            return close_cursor(body)
    else:
        if method == 'POST' and parts[1:] == ['_pit']:
            want(body is None, 'no body expected')
            return open_pit(parts[0], query)
        if method == 'DELETE' and path == '/_pit':
            return close_pit(body)
        if method == 'POST' and path == '/_sql':
            want(query == {'format': 'json'}, 'unknown format')
            return sql(body)
        if method == 'POST' and path == '/_sql/close':
            return close_cursor(body)
    raise Refused(400, 'illegal_argument_exception', f'no handler found for uri [{path}] and method [{method}]')


def error_text(refusal):
    if opensearch() and refusal.kind in ('parsing_exception', 'verification_exception'):
        return json.dumps({'error': {'reason': 'Invalid SQL query', 'details': refusal.reason,
                                     'type': 'SyntaxCheckException'}, 'status': refusal.status})
    return json.dumps({'error': {'root_cause': [{'type': refusal.kind, 'reason': refusal.reason}],
                                 'type': refusal.kind, 'reason': refusal.reason},
                       'status': refusal.status})


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def handle_any(self):
        length = int(self.headers.get('Content-Length') or 0)
        text = self.rfile.read(length).decode()
        url = urlsplit(self.path)
        if url.path == '/_control':
            return self.control(text)
        with lock:
            with open(sys.argv[2], 'a', encoding='utf-8') as log:
                log.write(json.dumps({'method': self.command, 'path': url.path, 'query': url.query,
                                      'body': text, 'auth': self.headers.get('Authorization'),
                                      'agent': self.headers.get('User-Agent')}) + '\n')
            return self.serve(url, text)

    do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = handle_any

    def control(self, text):
        with lock:
            if text:
                given = json.loads(text)
                if given.pop('reset', False):
                    state.clear()
                    state.update(json.loads(json.dumps(FRESH)))
                state.update(given)
            self.send(200, json.dumps({k: state[k] for k in ('pits', 'cursors', 'counts', 'closed')}))

    def rule(self, path):
        key = f'{self.command} {path}'
        count = state['counts'][key] = state['counts'].get(key, 0) + 1
        for rule in state['rules']:
            if fnmatch.fnmatch(path, rule['path']) and rule.get('method', self.command) == self.command:
                nth = rule.get('nth', 1)
                if nth <= count < nth + rule.get('times', 1000000):
                    return rule
        return {}

    def serve(self, url, text):
        rule = self.rule(url.path)
        if 'total' in rule:
            state['lie'] = rule['total']
        if 'expire' in rule:
            state['pits'].clear()
            state['cursors'].clear()
        try:
            if self.headers.get('Authorization') not in state['auth']:
                if opensearch():
                    return self.send(401, 'Unauthorized', kind='text/plain')
                raise Refused(401, 'security_exception', 'missing or wrong credentials for REST request '
                              f'[{url.path}] [{self.headers.get("Authorization")}]')
            if 'body' in rule or 'status' in rule:
                return self.send(rule.get('status', 200), rule.get('body', ''), rule.get('headers'),
                                 kind=rule.get('type', 'application/json'))
            want(not text or self.headers.get('Content-Type') == 'application/json',
                 'Content-Type header is not supported', 406, 'media_type_header_exception')
            want(not text or self.command != 'GET', 'the test wants no body of a GET')
            body = json.loads(text) if text else None
            reply = answer(self.command, url.path, dict(parse_qsl(url.query, True)), body)
        except Refused as refusal:
            return self.send(refusal.status, error_text(refusal))
        self.send(200, reply, cut=rule.get('cut'))

    def send(self, status, text, headers=None, kind='application/json', cut=None):
        data = text.encode()
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(data)))
        if not opensearch():
            self.send_header('X-elastic-product', 'Elasticsearch')
        elif version() >= (3, 0):
            self.send_header('X-OpenSearch-Version', f'OpenSearch/{state["version"]} (opensearch)')
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if cut is not None:
            self.wfile.write(data[:cut])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
        else:
            self.wfile.write(data)


def main():
    alone.serve(Handler)


if __name__ == '__main__':
    main()
