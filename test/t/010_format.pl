# The decoders of src/format, each rule with bodies cut into pieces of every odd size.
#
# CENSYNC_UNIT: path of censync_unit.so, see test/unit/Makefile.  FORMAT_FUZZ_SECONDS and
# FORMAT_FUZZ_SEED steer the random part at the end.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $module = $ENV{CENSYNC_UNIT}
  or plan skip_all => 'CENSYNC_UNIT does not name censync_unit.so';
my $seconds = $ENV{FORMAT_FUZZ_SECONDS} // 5;
my $seed = $ENV{FORMAT_FUZZ_SEED} // int(rand(1_000_000));
my $iso_codes = '/usr/share/iso-codes/json';

my $node = PostgreSQL::Test::Cluster->new('format');
$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$node->append_conf('postgresql.conf', "fsync = off\nclient_encoding = utf8");
$node->start;

install('postgres');

test_json();
test_records();
test_pointers();
test_bad_documents();
test_ndjson();
test_encodings();
test_limits();
test_csv();
test_bad_csv();
test_sniffing();
test_array_literals();
test_leaves();
test_real_data();
test_other_encodings();
test_random();
test_quick_input();
test_rows();
test_lengths();

$node->stop;
done_testing();

# The functions of the module, and what compares runs with pieces of different sizes.
sub install
{
	my ($database) = @_;
	my $sql = '';
	my $arguments = 'bytea, text, text, text, text[], int';

	$sql .= "CREATE FUNCTION unit_$_->[0] RETURNS $_->[1] LANGUAGE c AS '$module';\n"
	  for [ "decode($arguments, OUT number int8, OUT error_code text, OUT error_message text,"
		  . ' OUT kinds text[], OUT texts text[], OUT raw text, OUT "json" text)',
		'SETOF record' ],
	  [ "count($arguments)",    'int8' ],
	  [ "envelope($arguments)", 'text' ],
	  [ "seen($arguments)",     'text[]' ],
	  [ 'array_literal(text)',  'text STRICT' ],
	  [ 'leaves(text, text[], int[])', 'text[] STRICT' ],
	  [ 'leaves_memory(text, text[], int[])', 'int8 STRICT' ],
	  [ 'quick_input(regtype, text, text)', 'text STRICT' ],
	  [ 'sniff(bytea)',         'text STRICT' ],
	  [ 'content_type(text)',   'text' ],
	  [ 'max_record(int)',      'void STRICT' ];

	# The detail of "not JSON" quotes what has arrived so far, and so depends on the pieces.
	$sql .= <<'SQL';
CREATE FUNCTION run(what text, body bytea, format text, records text, delimiter text,
	columns text[], chunk int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text; state text; message text; detail text; hint text; query text;
BEGIN
	query := CASE what
		WHEN 'envelope' THEN 'SELECT unit_envelope($1,$2,$3,$4,$5,$6)'
		WHEN 'seen' THEN 'SELECT unit_seen($1,$2,$3,$4,$5,$6)::text'
		ELSE format('SELECT string_agg(CASE WHEN error_code IS NULL THEN %s
				ELSE error_code || '' '' || error_message || %s END, E''\n'' ORDER BY number)
			FROM unit_decode($1,$2,$3,$4,$5,$6)',
			CASE what WHEN 'texts' THEN 'texts::text' WHEN 'kinds' THEN 'kinds::text'
				WHEN 'raw' THEN 'raw' WHEN 'json' THEN 'json'
				WHEN 'hex' THEN 'encode(convert_to(texts[1], ''UTF8''), ''hex'')'
				ELSE 'texts::text || kinds::text || raw || json' END,
			CASE what WHEN 'raw' THEN '''|'' || raw' WHEN 'json' THEN '''|'' || json'
				WHEN 'all' THEN 'raw || json' ELSE '''''' END)
		END;
	EXECUTE query INTO result USING body, format, records, delimiter, columns, chunk;
	RETURN coalesce(result, 'none');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	IF message = 'response is not JSON' AND chunk IS NOT NULL THEN detail := NULL; END IF;
	RETURN 'thrown ' || state || ' ' || message || '|' || coalesce(detail, '') || '|' || hint;
END $$;

CREATE FUNCTION run_all(what text, body bytea, format text, records text, delimiter text,
	columns text[], chunks int[] DEFAULT '{1,2,3,7,1000}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text; other text; chunk int;
BEGIN
	FOREACH chunk IN ARRAY chunks LOOP
		other := run(what, body, format, records, delimiter, columns, chunk);
		IF result IS NULL THEN result := other; END IF;
		IF result <> other THEN
			RETURN format('DIFFERS %s: %s / %s in pieces of %s', encode(body, 'hex'), result, other, chunk);
		END IF;
	END LOOP;
	RETURN result;
END $$;
SQL
	$node->safe_psql($database, $sql);
}

# One run with all sizes of pieces.  Options: what, records, delimiter, columns, chunks, database.
sub run
{
	my ($format, $body, %o) = @_;
	my $columns = join ',', map { "\$c\$$_\$c\$" } @{ $o{columns} // ['a'] };
	my $sql = sprintf q{SELECT run_all('%s', '\x%s', '%s', %s, %s, ARRAY[%s]::text[]%s)},
	  $o{what} // 'texts', unpack('H*', $body), $format,
	  map({ defined $_ ? "\$q\$$_\$q\$" : 'NULL' } $o{records}, $o{delimiter}), $columns,
	  $o{chunks} ? ", '{$o{chunks}}'" : '';

	return $node->safe_psql($o{database} // 'postgres', $sql);
}

sub json_is
{
	my ($body, $expected, $name, %o) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(run('json', $body, %o), $expected, $name);
}

sub lines_are
{
	my ($body, $expected, $name, %o) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(run('ndjson', $body, %o), $expected, $name);
}

sub csv_is
{
	my ($body, $expected, $name, %o) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(run('csv', $body, columns => [ 'a', 'b' ], %o), $expected, $name);
}

sub thrown_like
{
	my ($format, $body, $pattern, $name, %o) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return like(run($format, $body, %o), qr/^thrown $pattern/s, $name);
}

sub test_json
{
	json_is('[{"a":1},{"a":2}]', "{1}\n{2}", 'array');
	json_is(" \r\n\t[ {\"a\":1} \n, {\"a\":2} ]\n ", "{1}\n{2}", 'space everywhere');
	json_is('[]', 'none', 'empty array');
	json_is("\xEF\xBB\xBF[{\"a\":1}]", '{1}', 'byte order mark');
	json_is('{"a":1}', '{1}', 'an object is one record');
	json_is(" {\"a\":1}\n", '{"a":1}', 'its raw text is trimmed', what => 'raw');
	json_is('{"n":2,"items":[{"a":1},{"a":2}],"next":null}', "{1}\n{2}", 'the only array');
	json_is('{"n":2,"items":[{"a":1},{"a":2}],"next":null}',
		'{"n":2,"items":[],"next":null}', 'envelope', what => 'envelope');
	json_is('{"r":{"items":[{"a":[1,[2]]}]}}', '{"[1,[2]]"}', 'an array deeper, with arrays inside');
	json_is('[{"a":1}]', '[]', 'envelope of an array', what => 'envelope');
	json_is('{"a":1}', '{"a":1}', 'envelope of one record', what => 'envelope');
	json_is('{"a":{"x":[{"a":1}]}, "b": "]}\"["}', '{1}', 'brackets in a string of the envelope');
	json_is('[{"a":"]}\"\\\\"},{"a":"x"}]', qq({"]}\\"\\\\"}\n{x}), 'brackets in a string of a record');
	json_is('[{"a":1.50e+10,"b":true,"c":null,"d":"x","e":{ "f" : 1 },"g":[ 1, 2 ]}]',
		'{number,bool,"null",string,object,array,"null"}', 'kinds',
		what => 'kinds', columns => [qw(a b c d e g h)]);
	json_is('[{"a":1.50e+10,"b":true,"c":null,"d":"x","e":{ "f" : 1 },"g":[ 1, 2 ]}]',
		'{1.50e+10,true,NULL,x,"{ \"f\" : 1 }","[ 1, 2 ]",NULL}', 'values as sent',
		columns => [qw(a b c d e g h)]);
	json_is('[{"a":12345678901234567890.12345678901234567890}]',
		'{12345678901234567890.12345678901234567890}', 'numbers are exact');
	json_is('[{"a":"\u00e9\ud83d\ude00\n\/\"\\\\"}]', "{\"\xc3\xa9\xf0\x9f\x98\x80\n/\\\"\\\\\"}", 'escapes');
	json_is('[{"a":""}]', '{""}', 'empty string is not NULL');
	json_is('[{"\u0061":1,"b":"x"}]', '{1,x}', 'escaped name', columns => [ 'a', 'b' ]);
	json_is('[{"a":1,"a":2}]', '{2}', 'last of two members');
	json_is('[{"a":1,"a":null}]', '{NULL}', 'last of two members, null');
}

sub test_records
{
	my @wanted = (columns => [ 'a.b', 'a.c.d', 'x' ]);

	json_is('[{"a":{"b":1,"c":{"d":2}},"x":3}]', '{1,2,3}', 'paths', @wanted);
	json_is('[{"a":{"c":{"d":2},"b":1}},{"x":3,"a":{"b":4}}]', "{1,2,NULL}\n{4,NULL,3}", 'any order', @wanted);
	json_is('[{"a.b":9,"a":{"b":1}}]', '{9,NULL,NULL}', 'exact member before path', @wanted);
	json_is('[{"a":{"b":1},"a.b":9}]', '{9,NULL,NULL}', 'exact member after path', @wanted);
	json_is('[{"a":{"b":1},"a.b":null}]', '{NULL,NULL,NULL}', 'exact member null', @wanted);
	json_is('[{"a":{"b":1},"a":{"c":{"d":2}}}]', '{NULL,2,NULL}', 'last object wins as a whole', @wanted);
	json_is('[{"a":{"b":1},"a":5}]', '{NULL,NULL,NULL}', 'last value wins over an object', @wanted);
	json_is('[{"a":[{"b":1}]}]', '{NULL,NULL,NULL}', 'paths do not enter arrays', @wanted);
	json_is('[{"y":{"b":1,"a":{"b":2}}}]', '{NULL,NULL,NULL}', 'nor other members', @wanted);
	json_is('[{"a":{"c":[{"d":1}],"b":{"d":1}}}]', '{"{\"d\":1}",NULL,NULL}', 'nor deeper ones', @wanted);
	json_is('[{"a":{"b":{"c":1}}}]', '{"{\"b\":{\"c\":1}}","{\"c\":1}",1,"{\"b\":{\"c\":1}}"}',
		'nested wanted members', columns => [ 'a', 'a.b', 'a.b.c', 'a' ]);
	json_is('[{"a":{"":1},"":2,"..":3}]', '{1,2,3}', 'empty parts', columns => [ 'a.', '', '..' ]);
	json_is('[{"a":1,"b":2,"c":3},{"c":4,"b":5,"a":6},{"b":7},{"z":0,"a":8,"y":0,"c":9}]',
		"{1,3,1}\n{6,4,6}\n{NULL,NULL,NULL}\n{8,9,8}", 'order changes', columns => [ 'a', 'c', 'a' ]);
	json_is('[{"a":1}]', '{}', 'no columns', columns => []);
	json_is('[{"a":null,"b":1},{"c":2}]', '{t,t,t,f,f}', 'seen',
		what => 'seen', columns => [ 'a', 'b', 'c', 'd', 'a.x' ]);
	json_is('[1,"x",null,[{"a":1}],{"a":1}]',
		join("\n", ('22023 record is not a JSON object') x 4, '{1}'), 'records that are no objects');
	like(run('json', "[{\"a\":$_},{\"a\":2}]"), qr/^22P02 record is not valid JSON: .*\n\{2\}$/, "bad token $_")
	  for '01', 'tru', '"\x"', '"\u12"', '1.', '-', '+1', 'NaN', '', '1,', '1 2', ':', '[1,]', '{"b"}';
	like(run('json', '[{"a":[1}],{"a":2}]'), qr/^(22P02 .*\n\{2\}|thrown 22032)/, 'mixed up brackets');
	like(run('json', "[{\"a\":\"x\ny\"}]"), qr/^22P02 /, 'control character in a string');
	like(run('json', '[{"a":"\ud83d"}]'), qr/^22P02 /, 'lone surrogate');
	like(run('json', '[{"a":"\u0000"},{"a":2}]'), qr/^22P05 .*\n\{2\}$/, 'NUL escape');
	like(run('json', '[{"a":1,"b":"\u0000"}]'), qr/^22P05 /, 'NUL escape in a member not wanted');
	json_is('[{"a":01}]', '22P02 record is not valid JSON: Token "01" is invalid.|"{\"a\":01}"',
		'unreadable record as a JSON string', what => 'json');
	json_is('[{ "a": 1}]', '{ "a": 1}', 'record as sent', what => 'json');
}

sub test_pointers
{
	my $doc = '{"a":{"r":[{"a":1}],"o":{"a":2},"n":null},"s":[[{"a":3}],{"t":[{"a":4}]}],"x/y~z":[{"a":5}],"e\u0301":[{"a":6}],"":[{"a":7}]}';

	json_is($doc, '{1}', 'pointer', records => '/a/r');
	json_is($doc, '{2}', 'pointer to an object', records => '/a/o');
	json_is($doc, '{3}', 'index', records => '/s/0');
	json_is($doc, '{4}', 'index on the way', records => '/s/1/t');
	json_is($doc, '{5}', 'escapes', records => '/x~1y~0z');
	json_is($doc, '{6}', 'escaped name in the document', records => "/e\xcc\x81");
	json_is($doc, '{7}', 'empty name', records => '/');
	json_is('{"a":1,"b":[1]}', '{1}', 'the document', records => '');
	json_is('[{"a":1}]', '{1}', 'the document, an array', records => '');
	json_is('{"x":{"a":1},"b":[1]}', '{"x":{},"b":[1]}', 'envelope without its one record',
		records => '/x', what => 'envelope');
	json_is('{"x":[{"a":1}],"b":[1]}', '{"x":[],"b":[1]}', 'envelope with other arrays',
		records => '/x', what => 'envelope');
	thrown_like('json', $doc, '22023 response has no records at "/b".*\|.*: "/a/r", "/s", "/x~1y~0z", ', 'missing', records => '/b');
	thrown_like('json', $doc, '22023 response has no records at "/a/n".*neither an array nor an object.*"/a/r"', 'null', records => '/a/n');
	thrown_like('json', '{"a":1}', '22023 .* has no array', 'no array to point at', records => '/b');
	thrown_like('json', '{"a":[]' . join('', map { ",\"k$_\":[]" } 1 .. 20) . '}',
		'22023 .*"/k9"\.$', 'at most ten arrays are named', records => '/b');
	thrown_like('json', $doc, '22023 .*"/a/r" or "/s"', 'two arrays');
	thrown_like('json', '{"a":[{"a":1}],"a":[]}', '22032 response has "/a" more than once', 'found twice', records => '/a');
	thrown_like('json', '"x"', '22023 response has no records', 'scalar document');
	thrown_like('json', '5', '22023 response has no records at ""', 'scalar document at ""', records => '');
	thrown_like('json', '[]', '22023 "data" is not a JSON Pointer.*"/data"', 'no slash', records => 'data');
	thrown_like('json', '[]', '22023 "/~2" is not a JSON Pointer', 'bad escape', records => '/~2');
}

sub test_bad_documents
{
	my $good = '{"m":{"x":[1,"a\\"b"],"t":true},"d":[{"a":1},{"a":"x}"}, 5 ],"n":"z"}';
	my %cut;

	# Cut anywhere, it must be seen: this is what a mirror's deletes hang on.
	$cut{ run('json', substr($good, 0, $_), records => '/d', chunks => '1,7,1000') =~ s/\|.*//sr }++
	  for 1 .. length($good) - 1;
	is_deeply([ keys %cut ], ['thrown 22032 response ends in the middle of a JSON document'], 'cut anywhere');
	thrown_like('json', '', '22032 response is empty', 'empty');
	thrown_like('json', " \n", '22032 response is empty', 'only space');
	thrown_like('json', "\xEF\xBB\xBF", '22032 response is empty', 'only a byte order mark');
	thrown_like('json', $_, '22032 response is not JSON', "not JSON: $_")
	  for '<html>', 'Error: no', 'nope', 'not found', "\xEF\xBB", ',', ']', "\0", "\x1f\x8b\x08";
	my $page = unpack 'H*', "<html>\n<body>\x01\xff" . 'y' x 500;
	like($node->safe_psql('postgres', "SELECT run('texts', '\\x$page', 'json', NULL, NULL, '{a}', NULL)"),
		qr/It begins with: <html> <body> \?y{185}\|.*web page/, 'the start of what is not JSON is shown');
	thrown_like('json', $_, '22032 response is not valid JSON', "bad document: $_")
	  for '[1,,2]', '[,1]', '[1,]', '[1 2]', '[1}', '[{"a":1}:]', '{"a":1,}', '{"a"}', '{,}', '{a:1}', '{"a":01}',
	  '{"a":tru}', '{"a" 1}', '{"a":1]', '{"a":[1],"b":nul}', '{"b":[[1]}', "[1\0]", '["a"b]', '[1"a"]';
	thrown_like('json', '{"x":{"y":[1}}', '22032 response is not valid JSON', 'bad brackets of the envelope', records => '/z');
	thrown_like('json', $_, '22032 response goes on after the end', "goes on: $_") for '[] x', '[],', '{}]', '[]"';
	thrown_like('json', "{}\n{}", '22032 response goes on after.*ndjson', 'NDJSON taken for JSON');
	thrown_like('json', '[{"a":1}:]', '22032 .*Unexpected character ":" at byte 9', 'position');
	thrown_like('json', "\xEF\xBB\xBF[\xff]", '22032 .*Unexpected byte 0xff at byte 5', 'position behind the mark');
	thrown_like('json', "$_->[0]", "22021 response is encoded in $_->[1]", $_->[1])
	  for [ "\xFF\xFE[\0]\0", 'UTF-16' ], [ "\xFE\xFF\0[\0]", 'UTF-16' ], [ "\xFF\xFE\0\0[\0\0\0", 'UTF-32' ],
	  [ "\0\0\xFE\xFF\0\0\0[", 'UTF-32' ];
}

sub test_ndjson
{
	lines_are("{\"a\":1}\n{\"a\":2}\n", "{1}\n{2}", 'lines');
	lines_are("{\"a\":1}\r\n\r\n \n\t{\"a\":2} \r\n", "{1}\n{2}", 'CRLF, blank lines, space');
	lines_are("{\"a\":1}\n{\"a\":2}", "{1}\n{2}", 'no last newline');
	lines_are("\x1e{\"a\":1}\n\x1e{\"a\":2}\n", "{1}\n{2}", 'application/json-seq');
	lines_are("\xEF\xBB\xBF{\"a\":1}\n", '{1}', 'byte order mark');
	lines_are('',       'none', 'empty');
	lines_are("\n\r\n", 'none', 'only blank lines');
	like(run('ndjson', "{\"a\":1}\n{\"a\":\n{\"a\":3}\n"), qr/^\{1\}\n22P02 [^\n]*\n\{3\}$/, 'a bad line in the middle');
	like(run('ndjson', "{\"a\":1}\n{\"a\":\n"), qr/^\{1\}\n22P02 [^\n]*$/, 'a bad last line with its newline');
	like(run('ndjson', "{\"a\":1} {\"a\":2}\n5\n[1]\n\"x\"\n"), qr/^22P02 [^\n]*(\n22023 record is not a JSON object){3}$/, 'two in a line; no objects');
	thrown_like('ndjson', "{\"a\":1}\n$_", '22032 response ends in the middle of a line', "cut off: $_")
	  for '{"a":2', '{"a":"', '{"a":"\u0000","b', "{\"a\":\"\xc3", '{"a":tr', '{"a":01}', 'tru', '[' x 2000;
	lines_are("{\"a\":1}\n{\"a\":\"\xff\"}", "{1}\n22021 record is not valid UTF-8: byte sequence 0xff", 'complete, but bad');
	lines_are('5', '22023 record is not a JSON object', 'a number without newline');
	thrown_like('ndjson', $_, '22032 response is not JSON', "not JSON: $_") for '<html>', "Error\n", "\n\0{}\n";
	is(run('ndjson', '{}', what => 'envelope'), 'none', 'no envelope');
}

sub test_encodings
{
	my %bad = ("\xff" => '0xff', "\xc0\x80" => '0xc0 0x80', "\xed\xa0\x80" => '0xed 0xa0 0x80', "\xc3" => '0xc3 0x22',
		"\xf4\x90\x80\x80" => '0xf4 0x90 0x80 0x80', "\0" => '0x00');

	for my $char ("\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80",
		"\xf4\x8f\xbf\xbf", "\xf1\x80\x80\x80", "\xe2\x82\xac")
	{
		my $hex = unpack 'H*', $char;

		json_is("[{\"a\":\"$char\"}]", $hex, "JSON, valid UTF-8: $hex", what => 'hex');
		csv_is("a\n$char\n", $hex, "CSV, valid UTF-8: $hex", what => 'hex', columns => ['a']);
	}
	for my $bytes (sort keys %bad)
	{
		my $name = unpack 'H*', $bytes;
		my $marks = '?' x length($bytes);

		like(run('json', "[{\"a\":\"$bytes\"},{\"a\":2}]", what => 'raw'),
			qr/^22021 record is not valid UTF-8: byte sequence \Q$bad{$bytes}\E\|\{"a":"\Q$marks\E"\}\n\{"a":2\}$/, "JSON: $name");
		like(run('csv', "a,b\n$bytes,1\n3,4\n", what => 'raw', columns => ['a']),
			qr/^22021 [^|]*\|\Q$marks\E,1\n3,4$/, "CSV: $name");
	}
	thrown_like('json', "{\"x\":\"\xff\",\"d\":[]}", '22021 response is not valid UTF-8 outside', 'envelope');
	json_is("{\"a\":\"\xff\"}", '22021 record is not valid UTF-8: byte sequence 0xff', 'one record');
	thrown_like('csv', "a,\xff\n1,2\n", '22021 header row', 'CSV header');
}

sub test_limits
{
	my $long = 'x' x 1_000_000;
	my $deep = '[' x 10_000;
	my @few = (chunks => '7,1000,65536');

	is(length run('json', "[{\"a\":\"$long\"}]", @few), 1_000_002, 'string of 1 MB');
	is(length run('csv', "a\n\"$long\"\n", @few, columns => ['a']), 1_000_002, 'CSV field of 1 MB');
	thrown_like('json', $deep, '54000 response is nested more than 1000', 'deep document', records => '/a', @few);
	thrown_like('json', $deep, '22032 response ends', 'deep record, cut off', @few);
	json_is("[{\"a\":$deep" . ']' x 10_000 . '},{"a":2}]',
		"54000 record is nested more than 1000 levels deep\n{2}", 'deep record', @few);
	lines_are("{\"a\":$deep" . ']' x 10_000 . "}\n{\"a\":2}\n",
		"54000 record is nested more than 1000 levels deep\n{2}", 'deep line', @few);
	lines_are("{\"a\":" . '[' x 999 . ']' x 999 . "}\n", '{' . '[' x 999 . ']' x 999 . '}', '1000 levels', @few);
	lines_are("{\"a\":\"$deep\"}\n", "{$deep}", 'brackets in a string are not nesting', @few);
	thrown_like('json', '{"a":' x 10_000, '54000 response is nested', 'deep objects', @few);
	like(run('ndjson', "{\"a\":\"$long$long}\n{\"a\":1}\n", @few, what => 'texts'), qr/^22P02 .{10,420}\n\{1\}$/s, 'short message for a long token');

	my $two_mb = "{\"a\":\"$long$long\"}";
	for my $case (
		[ 'json', "[$two_mb]", '54000 response has a record of more than 1 MB' ],
		[ 'json', $two_mb,     '54000 response is one record of more than 1 MB.*"records"' ],
		[ 'json', $two_mb,     '54000 response is one record of more than 1 MB.*"records"', '' ],
		[ 'ndjson', "$two_mb\n", '54000 response has a record of more than 1 MB' ],
		[ 'csv', "a\n\"$long$long\"\n", '54000 response has a record of more than 1 MB' ])
	{
		my $records = defined $case->[3] ? "''" : 'NULL';
		my $body = unpack 'H*', $case->[1];

		like($node->safe_psql('postgres', "SELECT unit_max_record(1); SELECT run_all('texts', '\\x$body', '$case->[0]', $records, NULL, '{a}', '{1000,9000000}')"),
			qr/thrown $case->[2]/s, "size limit: $case->[2]");
	}
	like($node->safe_psql('postgres', q{SELECT run('texts', convert_to('{"m":"' || repeat('x', 17000000) || '","d":[]}', 'UTF8'), 'json', '/d', NULL, '{a}', 65536)}),
		qr/^thrown 54000 response has more than 16 MB outside/, 'envelope limit');
}

sub test_csv
{
	csv_is("a,b\n1,2\n3,4\n", "{1,2}\n{3,4}", 'rows');
	csv_is("a,b\r\n1,2\r\n3,4", "{1,2}\n{3,4}", 'CRLF, no last newline');
	csv_is("a,b\r\n1,2\r", '{1,2}', 'ends between CR and LF');
	csv_is("b,x,a\n1,2,3\n", '{3,1}', 'by name');
	csv_is("a\n1\n", '{1,NULL}', 'a column that is not there');
	csv_is("a\n1\n", '{t,f}', 'seen by the header', what => 'seen');
	csv_is("a,b\n", '{t,t}', 'seen without rows', what => 'seen');
	csv_is("a,b\n,\"\"\n", '{NULL,""}', 'empty is NULL, quoted empty is not');
	csv_is("a,b\n,\"\"\n", '{"null",text}', 'kinds', what => 'kinds');
	csv_is("a,b\n\"x, y\",\"say \"\"hi\"\"\"\n\"l1\nl2\r\nl3\",\"\"\"\"\n",
		qq({"x, y","say \\"hi\\""}\n{"l1\nl2\r\nl3","\\""}), 'quotes');
	csv_is("\xEF\xBB\xBFa,b\n1,2\n", '{1,2}', 'byte order mark');
	csv_is("\xEF\xBC\xA1,b\n1,2\n", '{1,2}', 'a name that starts like one', columns => [ "\xEF\xBC\xA1", 'b' ]);
	csv_is("a;b\n1;2,3\n", '{1,"2,3"}', 'semicolon', delimiter => ';');
	csv_is("a|b\n1|2\n", '{1,2}', 'bar', delimiter => '|');
	csv_is("a\tb\n1\t 2 \n", '{1," 2 "}', 'tab; space is data', delimiter => "\t");
	csv_is("\"a\",\"x\"\"y\"\n1,2\n", '{1,2}', 'quoted names', columns => [ 'a', 'x"y' ]);
	csv_is("\n\r\na,b\n\n1,2\n\r\n\n3,4\n\n", "{1,2}\n{3,4}", 'blank lines');
	csv_is("a\n1\n\n2\n\"\"\n", "{1}\n{2}\n{\"\"}", 'blank lines of one column', columns => ['a']);
	csv_is("a,b\n", 'none', 'no rows');
	csv_is("a,x,x,,\n1,2,3,4,5\n", '{1,NULL}', 'bad names that nobody wants');
	csv_is("a,b\n1,2\n", '{1,2,1,1}', 'a column twice', columns => [ 'a', 'b', 'a', 'a' ]);
	csv_is("a.b,c\n1,2\n", '{1,NULL}', 'no paths', columns => [ 'a.b', 'c.d' ]);
	csv_is("a,b\n1,\n\"\",\"x\"\"\ny\"\n", qq({"a": "1", "b": null}\n{"a": "", "b": "x\\"\\ny"}), 'row as JSON', what => 'json');
	csv_is("a,b\n1,2,3\n", '22P04 record has 3 fields, the header row 2|"1,2,3"', 'bad row as JSON', what => 'json');
}

sub test_bad_csv
{
	my $bad = "22P04 record is not valid CSV";

	csv_is("a,b\n1\n1,2,3\n4,5\n", "22P04 record has 1 fields, the header row 2\n22P04 record has 3 fields, the header row 2\n{4,5}", 'number of fields');
	csv_is("a,b\nx\"y,1\n3,4\n", "$bad: quote in a field without quotes\n{3,4}", 'stray quote');
	csv_is("a,b\n\"x\"y,1\n\"x\" ,\"2\n\"\n3,4\n", "$bad: text after the closing quote of a field\n$bad: text after the closing quote of a field\n{3,4}", 'after a quote');
	csv_is("a,b\n1\rx,2\n3,4\n", "$bad: carriage return in a field without quotes\n{3,4}", 'stray carriage return');
	thrown_like('csv', "a,b\n1,\"2\n3,4\n", '22P04 response ends in the middle of a quoted CSV field', 'open quote');
	thrown_like('csv', "a,b\n1,2\n3", '22P04 response ends in the middle of a CSV row', 'cut off');
	thrown_like('csv', "a,b\r1,2\r", '22P04 header row .* not valid CSV', 'CR only');
	thrown_like('csv', "a,\"b\"x\n", '22P04 header row .* not valid CSV', 'bad quotes in the header');
	thrown_like('csv', $_, '22P04 response has no header row', 'no header') for '', "\n\n", "\xEF\xBB\xBF";
	thrown_like('csv', "a,a\n1,2\n", '22P04 header row .* column "a" more than once', 'wanted name twice');
	thrown_like('csv', "$_\n", '22P04 response is HTML', "a page: $_") for '<!DOCTYPE html>', '<html lang="en">';
	thrown_like('csv', "a\n", '22023 CSV delimiter', 'quote as delimiter', delimiter => '"');
	thrown_like('csv', "a\n", '22023 CSV delimiter', 'newline as delimiter', delimiter => "\n");
	thrown_like('csv', ',' x 20_000 . "\n", '54000 header row', 'too many columns', chunks => '1000');
}

sub test_sniffing
{
	my %sniff = (
		'[1]' => 'json', '{"a":1}' => 'json', " \n{\"a\":[1,\n2]}" => 'json', "{\"a\":1}\n" => 'json',
		"{\"a\":1}\n{\"a\":2}" => 'ndjson', "\xEF\xBB\xBF{\"a\":\"}{\"}\r\n\n{" => 'ndjson', "\x1e{}" => 'ndjson',
		"{\"a\":\"\\\"}\n{\"}" => 'json', "{\n\"a\":1}\n{\"a\":2}" => 'json', "[1]\n[2]" => 'ndjson',
		"a,b\n1,2" => 'csv', '"a"' => 'csv', '' => 'csv', "{\"a\":1}\nx" => 'json', '{"a":"' => 'json', '{"a":"\\' => 'json');
	my %types = (
		'application/json' => 'json', 'Application/JSON; charset=utf-8' => 'json', 'application/vnd.api+json' => 'json',
		' text/json ' => 'json', 'application/x-ndjson' => 'ndjson', 'application/json-seq' => 'ndjson',
		'application/geo+json-seq' => 'ndjson', 'application/jsonl;x=y' => 'ndjson', 'text/csv' => 'csv',
		'text/csv;header=present' => 'csv', 'text/html' => 'auto', 'application/octet-stream' => 'auto', 'text/plain' => 'auto', '' => 'auto',
		'application/jsonx' => 'auto', 'json' => 'auto');

	for (sort keys %sniff)
	{
		my $hex = unpack 'H*', $_;
		is($node->safe_psql('postgres', "SELECT unit_sniff('\\x$hex')"), $sniff{$_}, "sniff $hex");
	}
	is($node->safe_psql('postgres', "SELECT unit_content_type('$_')"), $types{$_}, "type '$_'") for sort keys %types;
	is($node->safe_psql('postgres', 'SELECT unit_content_type(NULL)'), 'auto', 'no type');
	for ([ " <!DOCTYPE html>", 'HTML or XML.*login' ], [ "\xff\xfea\0", 'UTF-16' ])
	{
		my ($rc, $out, $err) = $node->psql('postgres', "SELECT unit_sniff('\\x" . unpack('H*', $_->[0]) . "')");
		like($err, qr/$_->[1]/s, "sniffing $_->[1]");
	}
}

sub test_array_literals
{
	# The server's own array constructor is the judge.
	my $wrong = $node->safe_psql('postgres', <<'SQL');
SELECT count(*) || coalesce(': ' || min(j), '') FROM (VALUES ('[]'), ('[1,2.50,-3e5]'), ('["a","b c","","null","NULL","NuLl",null]'),
	('["{","}","\"","\\","a,b",";"," x","x ","\t","\n","\u000b","\u00e9","\ud83d\ude00"]'), ('[true,false,null]'),
	('[{"a":[1,{"b":"\"x\""}]},{ "c" : "\\" }]'), (' [ 1 , "x" ] '), ('[{}]'), ('["[1]","{}"]')) v(j)
WHERE unit_array_literal(j)::text[] IS DISTINCT FROM
	(SELECT coalesce(array_agg(x ORDER BY n), '{}') FROM json_array_elements_text(j::json) WITH ORDINALITY e(x, n));
SQL
	is($wrong, '0', 'as array_agg of the elements');
	my %nested = ('[[1,2],[3,null]]' => '{{1,2},{3,NULL}}', '[[["a b"]]]' => '{{{a b}}}', '[[{"x":[1]}]]' => '{{"{\"x\":[1]}"}}', '[[],[]]' => '{}');
	is($node->safe_psql('postgres', "SELECT unit_array_literal('$_')::text[]"), $nested{$_} =~ s/a b/"a b"/r, "nested $_") for sort keys %nested;
	for ('{}', '{"a":[1]}', '5', '"x"', 'null', '[1', '[1,]', '', '[01]')
	{
		my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT unit_array_literal('$_')");
		like($err, qr/22P02: value is not a JSON array/, "no array: $_");
	}
	my ($rc, $out, $err) = $node->psql('postgres', "SELECT unit_array_literal(repeat('[', 100000))");
	like($err, qr/nested more than/, 'deep array');
}

# What objects, dotted names and arrays of objects have of the same fields; kinds are 0 value, 2 JSON, 3 array.
sub test_leaves
{
	my @cases = (
		[ '{"o":{"k":1},"a":"x"}', '{o.k,a}', '{0,0}' => '{1,x}' ],
		[ '{"o.k":1,"o":{"k":2},"o":[{"k":3},{"k":[4]}]}', '{o.k}', '{3}' => '{"[1,2,3,4]"}' ],
		[ '{"o":[{"k":[]},{"k":null},{"k":"x"}]}', '{o.k}', '{0}' => '{x}' ],
		[ "{\"o\":{\n},\"o.k\":1,\"o.l\":2}", '{o}', '{2}' => "{\"{\n\\\"k\\\":1,\\\"l\\\":2}\"}" ],
		[ '{"o":{"j":0},"o.k":1,"o":7,"o.l":2}', '{o}', '{2}' => '{"[{\"j\":0,\"k\":1},7,{\"l\":2}]"}' ],
		[ '{"o":7,"o.k":1,"o":{"l":2}}', '{o,o.k,o.l}', '{4,0,0}' => '{7,1,2}' ],
		[ '{"o.k":1,"o":7,"o":[8,9]}', '{o}', '{3}' => '{"[{\"k\":1},7,8,9]"}' ]);

	for (@cases)
	{
		my ($json, $names, $kinds, $expected) = @$_;

		is($node->safe_psql('postgres', "SELECT unit_leaves('$json', '$names', '$kinds')"), $expected, "leaves of $json");
	}
	# What is no JSON has an end, too.
	is($node->safe_psql('postgres', q(SELECT unit_leaves('{"a":1,"a":[}}', '{a}', '{2}'))), '{[1]}', 'brackets that do not match');
	# In proportion to the document: not the square of its members.
	for ([ 'array of objects', q{'{"o":[' || string_agg('{"k":1}', ',') || ']}'}, 'o.k' ],
		[ 'dotted names', q{'{' || string_agg('"o.k' || i || '":1', ',') || '}'}, 'o' ])
	{
		my ($what, $json, $name) = @$_;

		is($node->safe_psql('postgres', "SELECT unit_leaves_memory(j, '{$name}', '{2}') < 16 * length(j)
			FROM (SELECT $json j FROM generate_series(1, 20000) i) d"), 't', "memory for $what");
	}
}

sub test_real_data
{
  SKIP:
	{
		skip 'iso-codes is not installed', 8 unless -r "$iso_codes/iso_639-3.json";

		for ([ 'iso_639-3', '639-3', 'alpha_3,name,scope,inverted_name' ],
			[ 'iso_3166-1', '3166-1', 'alpha_2,name,numeric,flag,official_name' ])
		{
			my ($file, $key, $columns) = @$_;
			my $array = join ',', map { "e->>'$_'" } split /,/, $columns;
			my $elements = "SELECT ARRAY[$array] AS fields FROM json_array_elements(doc->'$key') WITH ORDINALITY x(e, n) ORDER BY n";

			is($node->safe_psql('postgres', <<SQL), 't t t t', "$file as the server reads it");
CREATE TEMP TABLE t AS SELECT pg_read_binary_file('$iso_codes/$file.json') body, pg_read_file('$iso_codes/$file.json')::json doc;
CREATE TEMP TABLE l AS SELECT convert_to(string_agg(replace(e::text, E'\\n', ' '), E'\\n' ORDER BY n) || E'\\n', 'UTF8') body
	FROM t, json_array_elements(doc->'$key') WITH ORDINALITY x(e, n);
SELECT string_agg(CASE WHEN md5(a.v) = md5(b.v) AND length(b.v) > 1000 THEN 't' ELSE 'f' END, ' ') FROM
	(VALUES (7), (1000)) c(chunk),
	LATERAL (SELECT array_agg(fields)::text v FROM t, LATERAL ($elements) y) a,
	LATERAL (SELECT array_agg(texts ORDER BY number)::text v FROM t, unit_decode(body, 'json', NULL, NULL, '{$columns}', chunk)
		UNION ALL SELECT array_agg(texts ORDER BY number)::text FROM l, unit_decode(body, 'ndjson', NULL, NULL, '{$columns}', chunk)) b;
SQL
		}
	}

	# COPY writes it, COPY and the decoder read it.
	my $file = PostgreSQL::Test::Utils::tempdir_short() . '/rows.csv';
	is($node->safe_psql('postgres', <<SQL), '3 3 3', 'CSV as COPY reads it');
CREATE TABLE rows AS SELECT i::text AS a, CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'x,"y' WHEN 3 THEN E'l\\nm\\r\\n'
	WHEN 4 THEN '\\.' WHEN 5 THEN ' ' WHEN 6 THEN 'é😀"' END AS b, repeat('"', i % 5) AS c FROM generate_series(1, 3000) i;
COPY rows TO '$file' (FORMAT csv, HEADER);
CREATE TABLE back (LIKE rows);
COPY back FROM '$file' (FORMAT csv, HEADER);
SELECT string_agg((SELECT (count(*) / 1000)::text FROM unit_decode(pg_read_binary_file('$file'), 'csv', NULL, NULL, '{a,b,c}', chunk) d
	JOIN back ON texts[1] = a AND texts[2] IS NOT DISTINCT FROM b AND texts[3] IS NOT DISTINCT FROM c), ' ') FROM unnest('{1,7,1000}'::int[]) chunk;
SQL
}

sub test_other_encodings
{
	for my $encoding ('LATIN1', 'SQL_ASCII', 'EUC_JP')
	{
		my $database = lc $encoding;

		$node->safe_psql('postgres', "CREATE DATABASE $database ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
		install($database);
		$node->safe_psql('postgres', "ALTER DATABASE $database SET client_encoding = " . ($encoding eq 'SQL_ASCII' ? 'sql_ascii' : 'utf8'));
	}
	my @latin = (database => 'latin1');
	my $e = "\xc3\xa9";

	json_is("[{\"a\":\"$e\"},{\"a\":\"\\u00e9\"}]", "{$e}\n{$e}", 'LATIN1', @latin);
	csv_is("a,b\n$e,\"x\"\"$e\"\n", "{$e,\"x\\\"$e\"}", 'LATIN1 CSV', @latin);
	csv_is("$e,b\n1,2\n", '{1,2}', 'LATIN1 CSV header', @latin, columns => [ $e, 'b' ]);
	json_is("{\"$e\":[{\"$e\":1}],\"x\":[]}", '{1}', 'LATIN1 names', @latin, records => "/$e", columns => [$e]);
	json_is("[{\"a\":\"\xe2\x82\xac\"},{\"a\":\"\\u20ac\"},{\"a\":2}]",
		"22P05 record has a character that the database's encoding LATIN1 lacks\n"
		  . "22P05 record has an escaped character that the database's encoding LATIN1 lacks\n{2}", 'characters that LATIN1 lacks', @latin);
	json_is("[{\"a\":\"$e\xe2\x82\xac\"}]", "22P05 record has a character that the database's encoding LATIN1 lacks|{\"a\":\"$e?\"}", 'raw text', what => 'raw', @latin);
	json_is('[{"a":"\u20ac"}]', q(22P05 record has an escaped character that the database's encoding LATIN1 lacks|"{\"a\":\"\\\\u20ac\"}"), 'as JSON', what => 'json', @latin);
	json_is("{\"m\":\"\xe2\x82\xac\",\"d\":[]}", 'none', 'the envelope may have them', @latin);
	json_is("[{\"a\":\"\xe6\x97\xa5\\u672c\"},{\"a\":\"\xf0\x9f\x98\x80\"}]",
		"{\xe6\x97\xa5\xe6\x9c\xac}\n22P05 record has a character that the database's encoding EUC_JP lacks", 'EUC_JP', database => 'euc_jp');
	json_is("[{\"a\":\"$e\"},{\"a\":\"\\n\"},{\"a\":\"\\u00e9\"}]",
		"{$e}\n{\"\n\"}\n22P05 record has an escaped character that the database's encoding SQL_ASCII lacks", 'SQL_ASCII', database => 'sql_ascii');
}

# Mutated documents: never a crash, the same result for all pieces, and what the server's own json type
# says of single records.
sub test_random
{
	note("FORMAT_FUZZ_SEED=$seed");
	$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION mutate(body bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE at int; len int; bits bytea := '\x7b7d5b5d2c3a225c0a0d302d2e65201e00ffc3a9f0ef3c74756e';
BEGIN
	FOR i IN 1 .. 1 + (random() * 3)::int LOOP
		at := (random() * (length(body) - 1))::int; len := (random() * 8)::int;
		CONTINUE WHEN length(body) = 0 OR length(body) > 5000;
		body := CASE (random() * 4)::int
			WHEN 0 THEN set_byte(body, at, get_byte(bits, (random() * (length(bits) - 1))::int))
			WHEN 1 THEN substr(body, 1, at) || substr(body, at + 1 + len)
			WHEN 2 THEN substr(body, 1, at) || substr(body, (random() * length(body))::int + 1, len * 4) || substr(body, at + 1)
			WHEN 3 THEN substr(body, 1, at) || substr(bits, (random() * length(bits))::int + 1, 1) || substr(body, at + 1)
			ELSE CASE WHEN len = 0 THEN substr(body, 1, at) ELSE body END END;
	END LOOP;
	RETURN body;
END $$;

CREATE FUNCTION fuzz(seed int, seconds float) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	samples text[] := ARRAY['{"m":{"x":"a\"b","n":1},"d":[{"a":1,"b":"\u00e9\n","a.b":null},{"a":{"b":[1,{"c":2}]}},5],"t":true}',
		'[{"a":"x","b":-1.5e3},{"a":{"b":{"c":"é😀"}}},{}]', E'{"a":1,"b":"x"}\n{"a":{"b":2}}\r\n\x1e{"a":"\\ud83d\\ude00"}\n',
		E'a,b,"c ""d"""\r\n1,"x\ny",\n"","""",z\n\n4,5,6', '{"a":{"b":1,"c":[[]]},"b":false}'];
	began timestamptz := clock_timestamp(); rounds int := 0; body bytea; result text; same text; format text;
BEGIN
	PERFORM setseed(seed / 1000000.0);
	WHILE clock_timestamp() < began + seconds * interval '1 s' LOOP
		body := mutate(convert_to(samples[1 + (random() * 4)::int], 'UTF8'));
		format := (ARRAY['json', 'json', 'ndjson', 'csv'])[1 + (random() * 3)::int];
		result := run_all('all', body, format, (ARRAY[NULL, '', '/d', '/a/b', '/m', '/d/0'])[1 + (random() * 5)::int],
			NULL, '{a,b,a.b,a.b.c}', ARRAY[1, 2, 3, 7, 50, 10000]);
		IF result LIKE 'DIFFERS%' OR result LIKE 'thrown XX%' THEN
			RETURN format || ' ' || result || ' ' || encode(body, 'hex');
		END IF;
		same := oracle(mutate(convert_to((ARRAY['{"a":{"b":1,"b":"x"},"b":[1,"\u0041\\"],"a.b":2}',
			'{"b":-0.5e-3, "a" : {"b" : {} } , "c":null}', '{"a":true,"b":"é\t"}',
			'{"a":1,"b":"more than eight bytes","c":false}', ' { "b" : -120.5E+3 , "c":"é😀", "x":[], "a":null } ',
			'{"c":"plain","x":"0","a":0,"b":true,"a":10.25}'])[1 + (random() * 5)::int], 'UTF8')));
		IF same IS NOT NULL THEN RETURN same; END IF;
		rounds := rounds + 1;
	END LOOP;
	RETURN 'rounds ' || rounds;
END $$;

CREATE FUNCTION oracle(line bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE expected text[]; got record; doc json; valid bool;
BEGIN
	-- These two are between records.
	IF position('\x0a'::bytea in line) > 0 OR position('\x1e'::bytea in line) > 0 THEN RETURN NULL; END IF;
	BEGIN
		doc := convert_from(line, 'UTF8')::json;
		valid := jsonb_typeof(doc::jsonb) = 'object';
		IF valid THEN expected := ARRAY[doc->>'a', doc->>'b', doc->'a'->>'b']; END IF;
		IF valid AND doc::jsonb ? 'a.b' THEN expected[3] := doc->>'a.b'; END IF;
		IF valid AND NOT doc::jsonb ? 'a.b' AND jsonb_typeof(doc::jsonb->'a') <> 'object' THEN expected[3] := NULL; END IF;
	EXCEPTION WHEN data_exception THEN valid := false;
	END;
	-- The first line keeps what is no JSON at all out of the way.
	SELECT * INTO got FROM unit_decode('\x7b7d0a'::bytea || line || '\x0a'::bytea, 'ndjson', NULL, NULL, '{a,b,a.b}', 5) WHERE number = 2;
	IF got.number IS NULL AND btrim(line, '\x20090d'::bytea) = '' THEN RETURN NULL; END IF;
	IF valid <> (got.error_code IS NULL) OR valid AND expected IS DISTINCT FROM got.texts THEN
		RETURN format('ORACLE %s: %s, expected %s', encode(line, 'hex'), got, expected);
	END IF;
	-- Without paths among the columns there is another way through plain records.
	SELECT * INTO got FROM unit_decode('\x7b7d0a'::bytea || line || '\x0a'::bytea, 'ndjson', NULL, NULL, '{a,b,c}', 7) WHERE number = 2;
	IF valid THEN expected := ARRAY[doc->>'a', doc->>'b', doc->>'c']; END IF;
	IF valid <> (got.error_code IS NULL) OR valid AND expected IS DISTINCT FROM got.texts THEN
		RETURN format('PLAIN ORACLE %s: %s, expected %s', encode(line, 'hex'), got, expected);
	END IF;
	RETURN NULL;
END $$;
SQL
	like($node->safe_psql('postgres', "SELECT fuzz($seed, $seconds)", timeout => 120), qr/^rounds \d{3,}$/,
		"random documents, seed $seed");
	unlike(slurp_file($node->logfile), qr/terminated by signal/, 'no crash');
}

# What is read without the type's input function: never other than that would read it, and not seldom.
sub test_quick_input
{
	$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION as_type(type regtype, value text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
	-- format: as the output function writes it, which a cast of boolean does not.
	EXECUTE format('SELECT format(''%%s'', %L::%s)', value, type) INTO result;
	RETURN result;
EXCEPTION WHEN data_exception THEN RETURN 'error';
END $$;
SET DateStyle = 'ISO, DMY';
CREATE TABLE inputs AS
	SELECT 'bigint'::regtype AS type, v AS value, 'number' AS kind, true AS plain FROM unnest('{0,-0,7,-7,007,123456789012345678,-99999999999999999,
		32767,32768,-32768,-32769,2147483647,2147483648,-2147483648,-2147483649}'::text[]) v
	UNION ALL SELECT 'bigint', v, 'string', false FROM unnest(ARRAY['', '-', '--1', '+1', ' 1', '1 ', '1.0', '1e3', '9223372036854775807',
		'9223372036854775808', '-9223372036854775808', '0x10', '1_000', 'x', '12345678901234567a', '٣']) v
	UNION ALL SELECT 'boolean', v, 'bool', true FROM unnest('{true,false}'::text[]) v
	UNION ALL SELECT 'boolean', v, 'string', false FROM unnest('{true,t,yes,off,1,x}'::text[]) v
	UNION ALL SELECT 'text', v, 'string', true FROM unnest(ARRAY['', 'é', repeat('x', 300)]) v
	UNION ALL SELECT 'date', d::text, 'string', true FROM unnest('{0001-01-01,1582-10-15,1900-02-28,1999-12-31,2000-02-29,2004-02-29,2100-02-28,9999-12-31}'::text[]) d
	UNION ALL SELECT 'date', d, 'string', false FROM unnest('{1900-02-29,2001-02-29,2001-04-31,2001-13-01,2001-00-01,2001-01-00,0000-01-01,
		2001-1-01,20010101,01-02-2003,infinity,2001-01-01 BC,10000-01-01,2001/01/01,20a1-01-01}'::text[]) d
	UNION ALL SELECT 'timestamptz', t, 'string', true FROM unnest(ARRAY['2020-01-01T00:00:00Z', '2020-02-29 23:59:59.999999+00', '0001-01-01T00:00:00+14',
		'9999-12-31T23:59:59-11:30', '2024-03-31T02:30:00+02:00', '1969-12-31T23:59:59.5-00:01', '2020-01-01T00:00:00.000001Z', '2020-01-01T12:00:00.1+15:59']) t
	UNION ALL SELECT 'timestamptz', t, 'string', false FROM unnest(ARRAY['2020-01-01T00:00:00', '2020-01-01', '2020-01-01T24:00:00Z', '2020-01-01T23:59:60Z',
		'2020-01-01T00:00:00.0000005Z', '2020-01-01T00:00:00.Z', '2020-01-01T00:00Z', '2020-01-01T00:00:00 Europe/Paris', '2020-01-01T00:00:00+16',
		'2020-01-01T00:00:00+0530', '2020-01-01T00:00:00+5', '2020-01-01T00:00:00+05:', '2020-01-01T00:00:00+05:60', '2020-01-01T00:00:00Zulu',
		'2020-01-01T00:00:00z', '2020-02-30T00:00:00Z', '2020-01-01T00:00:00+05:30:15', '2020-01-01X00:00:00Z', 'infinity', '2020-01-01T00:00:00Z BC']) t;
INSERT INTO inputs SELECT t, value, kind, NULL FROM inputs, unnest('{smallint,int,varchar}'::regtype[]) t WHERE type = 'bigint'::regtype;
SQL
	my $differ = "unit_quick_input(type, value, kind) IS NOT NULL AND unit_quick_input(type, value, kind) IS DISTINCT FROM as_type(type, value)";
	is($node->safe_psql('postgres', "SELECT type, value FROM inputs WHERE $differ"), '', 'quick input reads what the input function reads');
	is($node->safe_psql('postgres', "SELECT type, value FROM inputs WHERE plain IS NOT NULL AND plain <> (unit_quick_input(type, value, kind) IS NOT NULL)"),
		'', 'quick input takes the plain forms');
	is($node->safe_psql('postgres', <<"SQL"), '', 'quick input of damaged values');
WITH RECURSIVE damaged AS (
	SELECT type, value, kind, 0 AS n FROM inputs WHERE value <> '' AND kind <> 'bool'
	UNION ALL
	SELECT type, overlay(value PLACING substr('0123456789-+:.TZ eE', 1 + (random() * 18)::int, (random() * 2)::int)
		FROM 1 + (random() * (length(value) - 1))::int FOR (random() * 2)::int), kind, n + 1 FROM damaged WHERE n < 60 AND value <> '')
SELECT type, value FROM damaged WHERE $differ LIMIT 5
SQL
}

# Rows of values: plain ones, others, and damaged ones, against what jsonb says.
# Records of an array are read before their end is known if they are not much longer than those before them, and plain.
sub test_lengths
{
	$node->safe_psql('postgres', <<'SQL');
CREATE TABLE long_and_short AS SELECT g AS number, CASE
	WHEN g % 50 = 7 THEN '{"a":' || g || ' "b":1,"c":[]}'
	WHEN g % 11 = 3 THEN '{"a":' || g || ',"c":{"k":"a\"}]\\"},"b":"' || repeat('}', g % 17) || '"}'
	WHEN g % 13 = 5 THEN '{ "a" : ' || g || E' ,\n "b" : null }\n '
	ELSE '{"a":' || g || ',"b":"' || repeat('é\n', g * 37 % 700 + CASE WHEN g % 97 = 0 THEN 9000 ELSE 0 END) || '","c":["x",{"y":[]}]}' END AS record
	FROM generate_series(1, 1000) g;
SQL
	foreach my $chunk (500, 3000, 16384, 1000000)
	{
		is($node->safe_psql('postgres', <<SQL), '0|20|1000', "records of all lengths in pieces of $chunk");
WITH decoded AS (SELECT * FROM unit_decode((SELECT convert_to('[' || string_agg(record, ',' ORDER BY number) || ']', 'UTF8') FROM long_and_short),
	'json', '', NULL, '{a,b,c}', $chunk)),
expected AS (SELECT number, CASE WHEN number % 50 <> 7 THEN ARRAY[record::json->>'a', record::json->>'b', record::json->>'c'] END AS texts, record FROM long_and_short)
SELECT count(*) FILTER (WHERE d.texts IS DISTINCT FROM e.texts OR d.raw IS DISTINCT FROM rtrim(record, E' \n')), count(d.error_code), count(*)
FROM decoded d FULL JOIN expected e USING (number)
SQL
	}
	return;
}

sub test_rows
{
	my @cases = (
		[ 'array', '[["1",null,true],["a\\n\\u00e9\\ud83d\\ude00\\"\\\\/",-1.5e3,""],[[1,{"x":null}],{"a":[]},"y"],[],[1]]', undef,
			qq({1,NULL,true}\n{"a\né😀\\"\\\\/",-1.5e3,""}\n{"[1,{\\"x\\":null}]","{\\"a\\":[]}",y}\n{NULL,NULL,NULL}\n{1,NULL,NULL}) ],
		[ 'array', '{"data":[["1","2","3"]],"more":1}', '/data', '{1,2,3}' ],
		[ 'array', '[[1,2,3,4]]', '', 'HV021 record has 4 values for 3 columns' ],
		[ 'array', '[{"a":1}]', '', '22023 record is not a JSON array' ],
		[ 'array', '{"status":"ok"}', '/result/data', '' ],
		[ 'cells', '{"rows":[ { "f" : [ { "v" : "1" } , { "v" : null },{"v":"x"} ] },{"f":[{"v":[{"v":"1"}]},{"v":{"f":[{"v":"q"}]}},{}]}]}', '/rows',
			qq({1,NULL,x}\n{"[{\\"v\\":\\"1\\"}]","{\\"f\\":[{\\"v\\":\\"q\\"}]}",NULL}) ],
		[ 'cells', '{"rows":[["1"]]}', '/rows', '22023 record is not a JSON object' ],
	);
	foreach my $case (@cases)
	{
		my ($format, $body, $records, $expected) = @$case;
		foreach my $chunk (1, 2, 3, 7, 1000)
		{
			is($node->safe_psql('postgres', sprintf(
					q{SELECT string_agg(coalesce(texts::text, error_code || ' ' || error_message), E'\n' ORDER BY number)
					FROM unit_decode(convert_to('%s', 'UTF8'), '%s', %s, NULL, '{a,b,c}', %d)},
					$body =~ s/'/''/gr, $format, defined $records ? "'$records'" : 'NULL', $chunk)), $expected, "$format rows in pieces of $chunk");
		}
	}
	is($node->safe_psql('postgres', <<'SQL'), '', 'damaged rows');
CREATE FUNCTION row_oracle(line bytea, format text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE expected text[]; got record; doc json; valid bool := false;
BEGIN
	BEGIN
		doc := convert_from(line, 'UTF8')::json;
		IF format = 'array' THEN
			valid := jsonb_typeof(doc::jsonb) = 'array' AND json_array_length(doc) <= 3;
			expected := ARRAY[doc->>0, doc->>1, doc->>2];
		ELSE
			valid := (SELECT jsonb_typeof(doc::jsonb) = 'object' AND count(*) = 1 AND bool_and(key = 'f' AND jsonb_typeof(value::jsonb) = 'array') FROM json_each(doc));
			valid := valid AND json_array_length(doc->'f') <= 3 AND (SELECT coalesce(bool_and(jsonb_typeof(e::jsonb) = 'object' AND e::jsonb - 'v' = '{}'), true) FROM json_array_elements(doc->'f') e);
			IF NOT valid THEN RETURN NULL; END IF;
			expected := ARRAY[doc->'f'->0->>'v', doc->'f'->1->>'v', doc->'f'->2->>'v'];
		END IF;
	EXCEPTION WHEN data_exception OR invalid_parameter_value THEN valid := false;
	END;
	BEGIN
		SELECT * INTO got FROM unit_decode('\x5b'::bytea || line || '\x5d'::bytea, format, '', NULL, '{a,b,c}', 5) WHERE number = 1;
		IF NOT valid AND (got.error_code IS NULL AND got.texts IS NOT NULL) AND position('\x2c'::bytea in line) = 0 THEN
			RETURN format('ACCEPTED %s: %s', encode(line, 'hex'), got);
		END IF;
	EXCEPTION WHEN OTHERS THEN
		IF valid THEN RETURN format('THROWN %s: %s', encode(line, 'hex'), sqlerrm); END IF;
		RETURN NULL;
	END;
	IF valid AND (got.error_code IS NOT NULL OR expected IS DISTINCT FROM got.texts) THEN
		RETURN format('ROW %s: %s, expected %s', encode(line, 'hex'), got, expected);
	END IF;
	RETURN NULL;
END $$;
SELECT setseed(0.25);
SELECT o FROM generate_series(1, 20000) g, LATERAL (SELECT CASE g % 2 WHEN 0 THEN 'array' ELSE 'cells' END AS f) s,
	LATERAL row_oracle(mutate(convert_to(CASE f WHEN 'array' THEN (ARRAY['["1",null,true]', '["eight bytes and more","é\n\u00e9", -0.5e-3 ]', '[ [1], "" ,{"a":1}]'])[1 + g / 2 % 3]
		ELSE (ARRAY['{"f":[{"v":"1"},{"v":null},{"v":"x"}]}', ' { "f" : [ { "v" : "more \"than\" eight" } , {"v":[{"v":"1"}]} ] } '])[1 + g / 2 % 2] END, 'UTF8')), f) o
	WHERE o IS NOT NULL LIMIT 3;
SQL
}
