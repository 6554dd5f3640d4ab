-- Edge values of every type of pg_catalog that a column can have, as literals; the tables go to the
-- first schema of the search_path.  Names of roles, tables and functions are such that every cluster has
-- them.  A value must fit into an index entry to serve as a key; longer ones are added by those who want them.

CREATE TABLE type_values (type text NOT NULL, value text NOT NULL);
CREATE FUNCTION add_values(type text, VARIADIC "values" text[]) RETURNS void LANGUAGE sql AS
  'INSERT INTO type_values SELECT $1, v FROM unnest($2) v';

DO $values$
BEGIN
  PERFORM add_values('bool', 'true', 'false');

  -- numbers
  PERFORM add_values('int2', '0', '-1', '32767', '-32768');
  PERFORM add_values('int4', '0', '-1', '2147483647', '-2147483648');
  PERFORM add_values('int8', '0', '-1', '9223372036854775807', '-9223372036854775808', '9007199254740993');
  PERFORM add_values('numeric', '0', '0.0', '0.00', '1', '1.0', '1.00', '-1.50',
    '1234567890123456789012345678901234567890', '0.1234567890123456789012345678901234567891',
    '-99999999999999999999.99999999999999999999', 'NaN', 'Infinity', '-Infinity',
    '1e-200', '-1e300', '9223372036854775808', '10000', '0.0001');
  PERFORM add_values('float4', '0', '-0', '0.1', '-1.5', '3.4028235e38', '-3.4028235e38', '1.1754944e-38', '1e-45',
    '16777217', 'NaN', 'Infinity', '-Infinity');
  PERFORM add_values('float8', '0', '-0', '0.1', '0.30000000000000004', '1.7976931348623157e308',
    '-1.7976931348623157e308', '2.2250738585072014e-308', '5e-324', '-5e-324', '9007199254740993', '1e22', '1e23',
    'NaN', 'Infinity', '-Infinity');
  PERFORM add_values('money', '0', '-0.01', '92233720368547758.07', '-92233720368547758.08', '1234.5');
  PERFORM add_values('oid', '0', '1', '2147483648', '4294967295');
  PERFORM add_values('oidvector', '', '0', '1 2147483648 4294967295');
  PERFORM add_values('int2vector', '', '0', '1 -32768 32767');
  PERFORM add_values('xid', '0', '3', '4294967295');
  PERFORM add_values('cid', '0', '7', '4294967295');
  PERFORM add_values('xid8', '0', '3', '18446744073709551615');
  PERFORM add_values('tid', '(0,0)', '(0,1)', '(4294967295,65535)');
  PERFORM add_values('pg_lsn', '0/0', '16/B374D848', 'FFFFFFFF/FFFFFFFF');

  -- text; the planes of Unicode, and what a shell, CSV, JSON, an array or LIKE could stumble over
  PERFORM add_values('text', '', ' ', 'a', 'A', 'NULL', 'null', '\N', '\', '"', '''', '""', 'a,b', '{}', '{a,"b"}', '(,)',
    E'line\nline\r\nline\ttab', E'\x01\x08\x0b\x0c\x1f\x7f', ' both ends ', '\u0041 \n \x41', '%s %d %', '$1 $$ :x ${y}',
    'é', U&'e\0301', 'ß', 'İıIi', '日本語', 'שלום עולם', U&'\0001\007f\0080\009f\00a0\00ad\200b\2028\2029\feff\fffd\ffff\d7ff\e000',
    U&'\+010000 \+01f600 \+01ffff', U&'\+020000 \+02a6df', U&'\+030000', U&'\+040000 \+050000 \+060000 \+070000 \+080000',
    U&'\+090000 \+0a0000 \+0b0000 \+0c0000 \+0d0000', U&'\+0e0001 \+0f0000 \+10ffff', '👩‍👩‍👧‍👦🏴󠁧󠁢󠁳󠁣󠁴󠁿', repeat('x', 1000));
  PERFORM add_values('varchar', '', ' ', 'a ', 'NULL', '日本語 ', E'\\"\n,');
  PERFORM add_values('bpchar', '', 'a', 'a  ', ' a', 'NULL', '日本語  ');
  PERFORM add_values('name', '', 'a', 'A"b', repeat('n', 63), 'NULL', repeat('é', 31));
  PERFORM add_values('"char"', '', 'a', ' ', '"', '\', '''', ',');
  PERFORM add_values('refcursor', '', 'c', 'a "cursor"');
  PERFORM add_values('bytea', '', '\x00', '\x5c78', '\x5c303030',
    (SELECT '\x' || string_agg(lpad(to_hex(i), 2, '0'), '' ORDER BY i) FROM generate_series(0, 255) i));
  PERFORM add_values('uuid', '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff',
    'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11');
  PERFORM add_values('bit(8)', '00000000', '10101010', '11111111');
  PERFORM add_values('varbit', '', '0', '1', '00000000', '101', repeat('10', 100));

  -- dates and times
  PERFORM add_values('date', '4713-01-01 BC', '0001-12-31 BC', '0001-01-01', '0044-03-15 BC', '1582-10-15', '2000-02-29', '1970-01-01',
    '1999-02-01', '5874897-12-31', 'infinity', '-infinity');
  PERFORM add_values('time', '00:00', '23:59:59.999999', '24:00', '12:34:56.7');
  PERFORM add_values('timetz', '00:00+00', '24:00+00', '23:59:59.999999-15:59:59', '12:34:56.7+14', '04:05:06+05:45', '01:00-00:00:01');
  PERFORM add_values('timestamp', '4713-01-01 00:00:00 BC', '0044-03-15 12:00:00 BC', '0001-01-01 00:00', '1999-02-01 03:04:05.000006',
    '1999-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999', 'infinity', '-infinity', '2026-03-29 02:30:00');
  PERFORM add_values('timestamptz', '4713-01-02 00:00:00+00 BC', '0044-03-15 12:00:00+00 BC', '1883-11-18 12:00:00+00', '1999-02-01 03:04:05.000006+05:45',
    '2026-10-25 00:30:00+00', '2026-10-25 01:30:00+00', '294276-12-31 00:00:00+00', 'infinity', '-infinity');
  PERFORM add_values('interval', '0', '1 mon', '30 days', '720 hours', '1 year -2 mons +3 days -04:05:06.789', '-1 year +2 mons -3 days +04:05:06.789', '-1 day +00:00:01',
    '1 day -00:00:00.000001', '-0.000001 s', '178000000 years', '-178000000 years', '2147483647 days -2147483647:59:59', '1 mon -1 day');

  -- documents
  PERFORM add_values('json', 'null', 'true', '0', '1.0', '1.00', '-0', '1e400', '1234567890123456789012345678901234567890', '""', '"\u0000"', '"\ud83d\ude00é"', '[]', '{}',
    ' { "b" : 1 , "a":[1, 2,  3.10] , "b" : 2 } ', '[[[[{"a.b":{"":null}}]]]]', '"{}"', '"[1]"', '"null"', '"a\\\"\n\/b"');
  PERFORM add_values('jsonb', 'null', 'true', '0', '1.0', '1.00', '-0', '1e400', '1234567890123456789012345678901234567890', '0.1234567890123456789012345678901234567891', '""',
    '"\ud83d\ude00é"', '[]', '{}', '{"b": 1, "a": [1, 2, 3.10, null], "b": 2}', '[[[[{"a.b":{"":null}}]]]]', '"{}"', '"[1]"', '"null"', '"a\\\"\n\/b"', '9007199254740993');
  PERFORM add_values('jsonpath', '$', 'strict $."a b".c[*] ? (@.x > 1.50 && @ like_regex "^a" flag "i")', '$[last - 1 to last].type()');
  PERFORM add_values('xml', '', 'text', '<a/>', '<a b="c &amp; d">é &lt;</a><!-- c --><b/>', '<?xml version="1.0" standalone="yes"?><a/>');
  PERFORM add_values('tsvector', '', 'a', '''a b'':1A,2B,16383 ''it''''s'':3 é:4', '''\\'' ''"'' '','':7D');
  PERFORM add_values('tsquery', '', 'a', 'a & !( b | ''c d'':*AB )', 'a <3> b', '''it''''s''');

  -- networks, geometry
  PERFORM add_values('inet', '0.0.0.0', '0.0.0.0/0', '192.168.0.1/24', '192.168.0.1', '255.255.255.255', '::', '::1/128', '2001:db8::1/64', '::ffff:1.2.3.4');
  PERFORM add_values('cidr', '0.0.0.0/0', '192.168.0.0/24', '10.1.2.3/32', '::/0', '2001:db8::/32', '2001:db8::1/128');
  PERFORM add_values('macaddr', '00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff', '08:00:2b:01:02:03');
  PERFORM add_values('macaddr8', '00:00:00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff:ff:ff', '08:00:2b:01:02:03:04:05');
  PERFORM add_values('point', '(0,0)', '(-0,0.1)', '(Infinity,-Infinity)', '(NaN,5e-324)', '(1.7976931348623157e308,-1.5)');
  PERFORM add_values('line', '{1,-1,0}', '{0,1,0.1}', '{-1,0,1e-300}');
  PERFORM add_values('lseg', '[(0,0),(0.1,0.2)]', '[(Infinity,1),(1,1)]');
  PERFORM add_values('box', '(0,0),(0,0)', '(1.5,2),(-1,-0.1)', '(Infinity,1),(1,-Infinity)');
  PERFORM add_values('path', '((0,0))', '[(0,0),(1,1),(0.1,5e-324)]', '((0,0),(1,1),(2,0))');
  PERFORM add_values('polygon', '((0,0))', '((0,0),(1,1),(2,0.1))', '((0,0),(Infinity,1),(2,0))');
  PERFORM add_values('circle', '<(0,0),0>', '<(0.1,-1),5e-324>', '<(0,0),Infinity>');

  -- ranges
  PERFORM add_values('int4range', 'empty', '(,)', '[1,2)', '[-2147483648,2147483647)', '(,5)', '[5,)');
  PERFORM add_values('int8range', 'empty', '(,)', '[1,2)', '[-9223372036854775808,9223372036854775807)');
  PERFORM add_values('numrange', 'empty', '(,)', '[1.0,1.00]', '(1.50,2]', '[-Infinity,NaN]', '(,1234567890123456789012345678901234567890)');
  PERFORM add_values('daterange', 'empty', '(,)', '[2000-02-29,2000-03-01)', '[-infinity,infinity]', '[0044-03-15 BC,)');
  PERFORM add_values('tsrange', 'empty', '(,)', '[1999-02-01 03:04:05.000006,infinity]', '("0044-03-15 12:00:00 BC",)');
  PERFORM add_values('tstzrange', 'empty', '(,)', '["1999-02-01 03:04:05.000006+05:45",infinity)', '("0044-03-15 12:00:00+00 BC",)');
  PERFORM add_values('int4multirange', '{}', '{(,)}', '{[1,2),[5,7),[9,)}');
  PERFORM add_values('int8multirange', '{}', '{(,)}', '{[1,2),[5,9223372036854775807)}');
  PERFORM add_values('nummultirange', '{}', '{(,)}', '{[1.0,1.00],(1.50,2]}');
  PERFORM add_values('datemultirange', '{}', '{(,)}', '{[2000-02-29,2000-03-01),[2001-01-01,infinity]}');
  PERFORM add_values('tsmultirange', '{}', '{(,)}', '{("0044-03-15 12:00:00 BC","1999-02-01 03:04:05.000006"]}');
  PERFORM add_values('tstzmultirange', '{}', '{(,)}', '{("0044-03-15 12:00:00+00 BC","1999-02-01 03:04:05.000006+05:45"]}');

  -- names of objects; - is none, and a number an object that is gone
  PERFORM add_values('regclass', '-', 'pg_class', 'information_schema.tables', '4294967295');
  PERFORM add_values('regcollation', '-', '"C"', '4294967295');
  PERFORM add_values('regconfig', '-', 'english', '4294967295');
  PERFORM add_values('regdictionary', '-', 'simple', '4294967295');
  PERFORM add_values('regnamespace', '-', 'pg_catalog', '4294967295');
  PERFORM add_values('regoper', '0', '||/', '4294967295');
  PERFORM add_values('regoperator', '0', '+(integer,integer)', '-(none,integer)', '4294967295');
  PERFORM add_values('regproc', '-', 'pg_backend_pid', '4294967295');
  PERFORM add_values('regprocedure', '-', 'upper(text)', 'upper(anyrange)', '4294967295');
  PERFORM add_values('regrole', '-', 'pg_monitor', '4294967295');
  PERFORM add_values('regtype', '-', 'integer', '"char"', 'timestamp with time zone[]', '4294967295');
  PERFORM add_values('aclitem', '=r/pg_monitor', 'pg_monitor=arwdDxt/pg_monitor', 'pg_monitor=r*w*/pg_monitor');
  PERFORM add_values('pg_snapshot', '1:1:', '10:20:10,14,15');
  PERFORM add_values('txid_snapshot', '1:1:', '10:20:10,14,15');
END $values$;

-- Types whose input functions refuse everything: only a query can have their values.
CREATE TABLE type_queries (type text NOT NULL, query text NOT NULL);
INSERT INTO type_queries VALUES
  ('pg_node_tree', 'SELECT ev_action FROM pg_catalog.pg_rewrite ORDER BY octet_length(ev_action::text), oid LIMIT 3'),
  ('pg_ndistinct', 'SELECT stxdndistinct FROM pg_catalog.pg_statistic_ext_data WHERE stxdndistinct IS NOT NULL'),
  ('pg_dependencies', 'SELECT stxddependencies FROM pg_catalog.pg_statistic_ext_data WHERE stxddependencies IS NOT NULL'),
  ('pg_mcv_list', 'SELECT stxdmcv FROM pg_catalog.pg_statistic_ext_data WHERE stxdmcv IS NOT NULL'),
  -- Values of these exist inside indexes only.
  ('gtsvector', 'SELECT NULL::pg_catalog.gtsvector'),
  ('pg_brin_bloom_summary', 'SELECT NULL::pg_catalog.pg_brin_bloom_summary'),
  ('pg_brin_minmax_multi_summary', 'SELECT NULL::pg_catalog.pg_brin_minmax_multi_summary');

-- A table "source <type>" of a type's values: v, the value, and a, arrays of values; NULL and empty ones last.
CREATE FUNCTION make_source(type text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  source text := format('%I', 'source ' || type);
  delimiter text := (SELECT typdelim FROM pg_type t WHERE t.oid = make_source.type::regtype);
  literal text;
  everything text;
  i int;
BEGIN
  EXECUTE format('CREATE TABLE %s (id int PRIMARY KEY, v %s, a %2$s[])', source, type);
  -- Each as a literal: a cast of text would be another function for some types.
  FOR i, literal IN SELECT row_number() OVER (), value FROM type_values q WHERE q.type = make_source.type LOOP
    EXECUTE format('INSERT INTO %s VALUES (%s, %L)', source, i, literal);
  END LOOP;
  EXECUTE format('UPDATE %s SET a = CASE id %% 2 WHEN 0 THEN ARRAY[v, NULL, v] ELSE ARRAY[ARRAY[[v, v]], ARRAY[[NULL, v]]] END', source);
  SELECT string_agg('"' || replace(replace(value, '\', '\\'), '"', '\"') || '"', delimiter) INTO everything
    FROM type_values q WHERE q.type = make_source.type AND length(value) < 1000;
  i := 1000;
  FOREACH literal IN ARRAY ARRAY[NULL, '{}', '{NULL}', replace('[-1:0][3:3]={{NULL},{NULL}}', ',', delimiter), '{' || everything || '}'] LOOP
    i := i + 1;
    EXECUTE format('INSERT INTO %s VALUES (%s, NULL, %L)', source, i, literal);
  END LOOP;
END $$;
