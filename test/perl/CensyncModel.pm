
=pod

=head1 NAME

CensyncModel - random syncs, and what they have to do, in plain SQL

=head1 DESCRIPTION

A case is made from a seed: a destination with a key of one to four columns of any type, columns of
other types, constraints, mappings, options, and a number of rounds.  script() makes of it one psql
script.  In every round the source and the destination change, a model predicts the outcome of a run
by docs/behaviors.md, in plain statements over copies of both, and a run is compared with it: every
row, every count, every record that was refused, and every row version.

Everything comes from the seed: Perl's random numbers decide about the case, those of the server,
seeded with it, about the rows.

=cut

package CensyncModel;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP;

use CensyncTest;

our @EXPORT = qw(model_case model_script model_setup);

my @order = qw(key reverse random heap blocks nearly);
my @shares = (0, 0.01, 0.3, 1);
my @settings = (
	"SET datestyle = 'ISO, YMD'; SET timezone = 'UTC'; SET extra_float_digits = 1;",
	"SET datestyle = 'SQL, DMY'; SET timezone = 'Asia/Kathmandu'; SET extra_float_digits = -5; SET intervalstyle = 'sql_standard';",
	"SET datestyle = 'German'; SET timezone = 'America/St_Johns'; SET bytea_output = 'escape'; SET intervalstyle = 'iso_8601';",
	"SET datestyle = 'Postgres, MDY'; SET timezone = 'Pacific/Apia'; SET extra_float_digits = 0;");

# Per type: the text of the n-th key ({i}, an integer; {w} is 0 or 1, and chooses one of two texts of the
# same key where there are two), texts of values (undef is NULL), texts that are no values.  few: so many
# keys there are; small: not for big numbers.
my %types = (
	'int2'         => { key => '({i})::text', values => [qw(0 -1 32767)], bad => ['40000', ''], small => 1 },
	'int4'         => { key => '({i})::text', values => [qw(0 -1 2147483647)], bad => ['x', '1.5'] },
	'int8'         => { key => "lpad(({i})::text, 9, '0')", values => [qw(0 9007199254740993)], bad => ['9223372036854775808'] },
	'oid'          => { key => '({i})::text', values => [qw(0 4294967295)], bad => ['x'] },
	'xid8'         => { key => '({i})::text', values => [qw(3 4)], bad => [] },
	'numeric'      => { key => "({i})::text || '.' || repeat('0', {w} * 2 + 1)",
		values => ['1', '1.0', '1.00', '-0', 'NaN', 'Infinity', '12345678901234567890.5'], bad => ['no number', ''] },
	'numeric(8,2)' => { key => "({i})::text || CASE {w} WHEN 1 THEN '.000' ELSE '' END", values => [qw(1 1.005 NaN -99.999)], bad => ['1000000', 'Infinity'] },
	'float4'       => { key => "CASE {i} % 500 WHEN 3 THEN 'NaN' WHEN 4 THEN CASE {w} WHEN 1 THEN '-0' ELSE '0' END ELSE ({i})::text END",
		values => [qw(0 -0 0.1 NaN Infinity 1e-45)], bad => ['1e40', 'x'] },
	'float8'       => { key => "CASE {i} % 500 WHEN 3 THEN 'NaN' WHEN 4 THEN CASE {w} WHEN 1 THEN '-0' ELSE '0' END ELSE (({i}) / 10.0)::text END",
		values => [qw(0 -0 0.1 0.30000000000000004 NaN Infinity -Infinity 5e-324)], bad => ['1e400', ''] },
	'money'        => { key => "({i})::text", values => ['0', '-0.01', '1234.5'], bad => ['x'] },
	'text'         => { key => "CASE {i} % 7 WHEN 0 THEN 'ü' WHEN 1 THEN ' k ' WHEN 2 THEN '' ELSE 'k\"\\' END || ({i})::text", values => ['', ' ', 'a', 'A', 'NULL', "a'b\"c\\,{}", "line\nline", 'ü'], bad => [], text => 1 },
	'varchar(12)'  => { key => "'v' || ({i})::text", values => ['', 'a', 'a '], bad => ['much too long a text'], text => 1 },
	'char(10)'     => { key => "'c' || ({i})::text || repeat(' ', {w})", values => ['', 'a', 'a ', 'b'], bad => ['much too long a text'], text => 1 },
	'bpchar'       => { key => "'c' || ({i})::text || repeat(' ', {w} * 2)", values => ['', 'a', 'a ', 'b'], bad => [], text => 1 },
	'name'         => { key => "'n' || ({i})::text", values => ['', 'a', 'A"b'], bad => [], text => 1 },
	'"char"'       => { values => ['', 'a', ' '], bad => [] },
	'citext'       => { key => "CASE {w} WHEN 1 THEN 'K' ELSE 'k' END || ({i})::text", values => ['', 'a', 'A', 'Ü', 'ü'], bad => [], text => 1 },
	'text COLLATE ci' => { key => "CASE {w} WHEN 1 THEN 'KÉY' ELSE 'kéy' END || ({i})::text", values => ['', 'a', 'A'], bad => [], text => 1 },
	'bytea'        => { key => "'\\x' || lpad(to_hex({i}), 8, '0')", values => ['\x', '\x00', '\x5c27ff'], bad => ['\x0'] },
	'bool'         => { key => "(ARRAY['f', 'false', 't', 'yes'])[1 + {w} + 2 * ({i} % 2)]", values => [qw(true f)], bad => ['perhaps'], few => 2 },
	'date'         => { key => "(DATE '1900-01-01' + ({i})::int)::text", values => ['2000-02-29', '0044-03-15 BC', 'infinity'], bad => ['2026-02-30'] },
	'time'         => { key => "(TIME '00:00' + ({i}) * INTERVAL '1 s')::text", values => ['00:00', '24:00', '12:34:56.7'], bad => ['25:00'] },
	'time(1)'      => { key => "(TIME '00:00' + ({i}) * INTERVAL '1 s')::text", values => ['00:00', '12:34:56.78'], bad => ['x'] },
	'timetz'       => { key => "(TIME '00:00' + ({i}) * INTERVAL '1 s')::text || '+05:45'", values => ['00:00+00', '01:00+01', '12:34:56.7-08'], bad => ['x'] },
	'timestamp'    => { key => "(TIMESTAMP '1999-12-31 23:00' + ({i}) * INTERVAL '1 min')::text", values => ['1999-02-01 03:04:05.000006', 'infinity', '0044-03-15 12:00 BC'], bad => ['yesterdy'] },
	'timestamptz'  => { key => "(TIMESTAMP '2026-03-29 00:00' + ({i}) * INTERVAL '1 min')::text || '+00'", values => ['2026-10-25 00:30+00', '2026-10-25 02:30+02', '-infinity'], bad => ['x'] },
	'interval'     => { key => "CASE {w} WHEN 1 THEN ({i})::text || ' hours' ELSE (({i}) / 24)::text || ' days ' || (({i}) % 24)::text || ' hours' END",
		values => ['1 mon', '30 days', '720 hours', '-1 day +00:00:01'], bad => ['x'] },
	'uuid'         => { key => "CASE {w} WHEN 1 THEN md5(({i})::text) ELSE upper(md5(({i})::text)) END", values => ['00000000-0000-0000-0000-000000000000', 'ffffffffffffffffffffffffffffffff'], bad => ['x'] },
	'inet'         => { key => "host(INET '10.0.0.0' + ({i}))::text", values => ['192.168.0.1/24', '192.168.0.1', '::1'], bad => ['1.2.3'] },
	'cidr'         => { key => "host(INET '10.0.0.0' + ({i}))::text || '/32'", values => ['192.168.0.0/24', '::/0'], bad => ['1.2.3.4/8'] },
	'macaddr'      => { key => "'0800' || lpad(to_hex({i}), 8, '0')", values => ['08:00:2b:01:02:03'], bad => ['x'] },
	'macaddr8'     => { key => "'08002b01' || lpad(to_hex({i}), 8, '0')", values => ['08:00:2b:01:02:03:04:05'], bad => ['x'] },
	'json'         => { values => ['{"a": 1, "b": 2}', '{"b": 2, "a": 1}', '{"a" : 1.0}', '[1, null]', '"x"', '1.0'], bad => ['{'], json => 1 },
	'jsonb'        => { key => q('{"id": [' || ({i})::text || CASE {w} WHEN 1 THEN '.0' ELSE '' END || ']}'),
		values => ['{"a": 1, "b": 2}', '{"b": 2, "a": 1}', '{"a": 1.0}', '{"a": 1.00}', '[1, null]', '"x"', '1.0', '{}'], bad => ['{"a"'], json => 1 },
	'jsonpath'     => { values => ['$.a', 'strict $[*] ? (@ > 1.50)'], bad => ['x y'] },
	'xml'          => { values => ['<a/>', '<a b="c"/>', 'text'], bad => ['<a>'] },
	'int[]'        => { key => "'{' || ({i})::text || ',NULL}'", values => ['{}', '{1,2}', '{{1,2},{3,4}}', '[0:1]={1,2}', '{NULL}'], bad => ['{1', '{x}'] },
	'numeric[]'    => { key => "'{' || ({i})::text || repeat('.0', {w}) || '}'", values => ['{1.0}', '{1.00}', '{NaN}'], bad => ['x'] },
	'text[]'       => { key => "'{k' || ({i})::text || ',NULL,\"a,b\"}'", values => ['{}', '{"",NULL}', '{a,"b c"}'], bad => ['{'] },
	'int4range'    => { key => "'[' || ({i})::text || ',' || ({i} + 1 - {w})::text || (ARRAY[')', ']'])[1 + {w}]", values => ['empty', '[1,2]', '[1,3)', '(,)'], bad => ['[2,1]'] },
	'numrange'     => { key => "'[' || ({i})::text || repeat('.0', {w}) || ',)'", values => ['[1.0,2]', '[1,2]', 'empty'], bad => ['x'] },
	'tstzrange'    => { key => "'[2000-01-01 00:00+00,' || (TIMESTAMP '2026-03-29 00:00' + ({i}) * INTERVAL '1 min')::text || '+00)'", values => ['(,)', '["1999-02-01 03:04:05+05:45",infinity)'], bad => ['x'] },
	'int4multirange' => { key => "'{[1,5),[' || ({i} + 100)::text || ',)}'", values => ['{}', '{[1,2),[5,7)}', '{[1,2),[2,7)}'], bad => ['x'] },
	'mood'         => { key => "(ARRAY['low', 'it''s \"mid\"', 'high'])[1 + {i} % 3]", values => ['low', 'high'], bad => ['none'], few => 3 },
	'amount'       => { key => '({i} + 1)::text', values => [qw(1 2 3)], bad => ['-1', 'x'] },
	'label'        => { key => "CASE {w} WHEN 1 THEN 'L' ELSE 'l' END || ({i})::text", values => ['a', 'A'], bad => ['forbidden'], text => 1 },
	'pair'         => { key => "'(' || ({i})::text || ',1.' || repeat('0', 1 + {w}) || ')'", values => ['(1,1.0)', '(1,1.00)', '(,)', '(2,)'], bad => ['(1', 'x'], composite => 1 },
	'bit(24)'      => { key => "({i})::int::bit(24)::text", values => ['000000000000000000000000', '101010101010101010101010'], bad => ['1'] },
	'varbit'       => { key => "'1' || ltrim(({i})::int::bit(32)::text, '0')", values => ['', '0', '00', '101'], bad => ['2'] },
	'tsvector'     => { key => "'k' || ({i})::text || ':1A'", values => ['a', 'a:1 b:2', ''], bad => ["'"] },
	'tsquery'      => { key => "'k' || ({i})::text || ' & b'", values => ['a', 'a <2> b'], bad => ['a &'] },
	'hstore'       => { key => "'id=>' || ({i})::text", values => ['', 'a=>1', 'b=>2, a=>NULL'], bad => ['a'] },
	'ltree'        => { key => "'a.b' || ({i})::text", values => ['', 'a.b'], bad => ['a..b'] },
	'pg_lsn'       => { key => "'0/' || to_hex({i})", values => ['0/0', '16/B374D848'], bad => ['x'] },
	'point'        => { values => ['(0,0)', '(-0,0)', '(NaN,1)'], bad => ['x'] },
	'box'          => { values => ['(1,2),(0,0)', '(2,1),(0,0)'], bad => ['x'] },
	'polygon'      => { values => ['((0,0),(1,1),(2,0.1))', '((1,1),(2,0.1),(0,0))'], bad => ['x'] },
	'regclass'     => { values => ['pg_class', 'pg_type'], bad => ['no_such_table'] });

# What many destinations have as keys comes more often.
my @key_types = ((qw(int4 int8 text uuid timestamptz varchar(12) citext numeric)) x 3,
	grep { $types{$_}{key} } sort keys %types);
my @value_types = ((qw(text numeric timestamptz jsonb int4)) x 2, sort keys %types);

=pod

=head1 FUNCTIONS

=over

=item model_setup()

Statements for the database in which cases run.

=cut

sub model_setup
{
	return <<'SQL';
CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE EXTENSION ltree;
CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TYPE mood AS ENUM ('low', 'it''s "mid"', 'high');
CREATE DOMAIN amount AS int CHECK (value > 0);
CREATE DOMAIN label AS citext CHECK (value <> 'forbidden');
CREATE TYPE pair AS (x int, y numeric);
-- The text of a value, as the type's output function has it; NULL for NULL, but not for a row of NULLs.
CREATE FUNCTION image(v anyelement) RETURNS text LANGUAGE sql AS
$$ SELECT CASE WHEN num_nulls(v) = 0 THEN format('%s', v) END $$;
-- Rows with c = 77 are left as they are, without a word.
CREATE FUNCTION keep_frozen() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF NEW.c = 77 THEN RETURN NULL; END IF; RETURN NEW; END $$;
SQL
}

=pod

=item model_case(seed)

The case as a hash; its label says what is special about it.

=cut

sub model_case
{
	my ($seed) = @_;
	# The first numbers from seeds that follow each other are alike.
	srand($seed * 2654435761 % 4294967296);
	rand() for 1 .. 20;
	my %case = (seed => $seed, behavior => (qw(mirror upsert mirror update mirror append upsert))[ $seed % 7 ]);

	$case{rows} = $seed % 20 == 19 ? 20000 : $seed % 20 == 9 ? 8000 : $seed % 10 == 4 ? 3000 : pick(0, 3, 10, 40, 40, 150, 400, 1500);
	$case{rounds} = $case{rows} > 10000 ? 2 : $case{rows} > 1000 ? 3 : 4;
	$case{offset} = $case{rows} > 5000 ? 100000 : 10000;
	$case{source} = pick(qw(query query ndjson csv));
	$case{explicit} = chance(0.5);
	$case{messy} = pick(0, 0.02, 0.05, 0.1);
	$case{whole_table} = $case{behavior} eq 'mirror' && chance(0.4);
	$case{on_duplicate} = pick(qw(reject first last reject first last fail));
	$case{on_error} = chance(0.06) ? 'fail' : 'continue';
	$case{max_rejected} = pick(1, 1, 1, 0.75, 0);
	$case{max_deletes} = pick(1, 1, 1, 0.5);
	$case{allow_empty} = chance(0.7);
	$case{partitioned} = chance(0.15);
	$case{trigger} = chance(0.2);
	$case{work_mem} = chance(0.4) ? '64kB' : '4MB';
	# With so little, rows that do not line up are soon too many for a walk: then they are joined.
	$case{maintenance_work_mem} = chance(0.4) ? '1MB' : '64MB';
	choose_key(\%case);
	choose_values(\%case);
	# A line of CSV with nothing but a NULL is blank, and skipped.
	$case{source} = 'ndjson' if $case{source} eq 'csv' && @{ $case{key} } + @{ $case{values} } == 1;
	$case{label} = sprintf '%s of %d rows by %s, key %s (%s)%s%s', $case{behavior}, $case{rows}, $case{source},
	  join(', ', map { $_->{type} } @{ $case{key} }), $case{key_kind}, $case{partitioned} ? ', partitioned' : '',
	  $case{whole_table} ? ', whole table' : '';
	return \%case;
}

sub choose_key
{
	my ($case) = @_;
	my $n = pick(1, 1, 1, 2, 2, 3, 4);
	my $wide = int(rand $n);
	my $cheap = $case->{rows} > 10000;
	my @key;

	for my $k (0 .. $n - 1)
	{
		my $type;
		do
		{
			$type = $cheap ? pick(qw(int4 int8 text uuid timestamptz citext numeric), 'text COLLATE ci', 'int[]') : pick(@key_types)
		} while ($k == $wide && ($types{$type}{few} || $types{$type}{small} && $case->{rows} > 5000));
		push @key, column($case, "k$k", $type, is_key => 1);
	}
	# Each but the widest has a digit of the number, so that parts of keys are often the same.
	my $rest = 'b.i';
	for my $k (grep { $_ != $wide } 0 .. $n - 1)
	{
		my $radix = $types{ $key[$k]{type} }{few} || pick(2, 3, 5);
		$key[$k]{number} = "($rest % $radix)";
		$rest = "($rest / $radix)";
	}
	$key[$wide]{number} = $rest;
	$case->{key} = \@key;
	$case->{key_kind} = pick('PRIMARY KEY', 'PRIMARY KEY', 'UNIQUE', 'UNIQUE NULLS NOT DISTINCT', 'INDEX', 'INDEX NULLS NOT DISTINCT');
	$case->{nullable} = $case->{key_kind} ne 'PRIMARY KEY' && chance(0.7);
	$case->{partitioned} = 0 if grep { $_->{type} =~ /ci$|money|tsvector|tsquery|bit|ltree/ } @key;
	return;
}

# Columns that the source fills, and those that constraints are on.
sub choose_values
{
	my ($case) = @_;
	my @columns;

	for my $v (1 .. int(rand 5))
	{
		my $column = column($case, "v$v", pick(@value_types));
		$column->{skip} = $case->{explicit} && chance(0.3);
		$column->{empty} = $case->{explicit} && chance(0.15) && !$types{ $column->{type} }{composite};
		$column->{default} = $column->{values}[0] if chance(0.3);
		push @columns, $column;
	}
	push @columns, column($case, 'c', 'int4', values => [ 1, 2, 3, 4, (chance(0.5) ? 13 : 5), ($case->{trigger} ? 77 : undef) ], check => 'c <> 13')
	  if $case->{trigger} || chance(0.5);
	push @columns, column($case, 'r', 'text', values => [ qw(a b c d e f), undef ], notnull => 1, bad => [], typed => 0) if chance(0.25);
	push @columns, column($case, 'p', 'int4', values => [ 1, 2, 3, 4, 5, 6, 99, undef ], parent => 1) if chance(0.25);
	push @columns, column($case, 'u', 'text', unique => 1, bad => [], typed => 0)
	  if !$case->{partitioned} && $case->{rows} <= 400 && chance(0.3);
	if ($case->{explicit})
	{
		push @columns, column($case, 'e', 'text', values => [ 'A', 'b', 'Ü', '', undef ], typed => 0, bad => [],
			expression => q(lower("$") || '/' || length("$"))) if chance(0.4);
		push @columns, column($case, 'n', 'int4', values => [ 1, 22, undef ], typed => 0, bad => [ 'x', '99999999999', '1999999999' ],
			expression => '"$"::int * 2') if chance(0.3);
		push @columns, column($case, 'constant', 'numeric', bad => [], constant => '1.50') if chance(0.3);
	}
	# Big values: outside of the row, and compressed or not.
	push @columns, column($case, 'big', 'text', values => [ 'x' x 9000, join('', map { chr(33 + int rand 90) } 1 .. 5000), undef, 'small' ], bad => [])
	  if $case->{rows} <= 150 && chance(0.15);
	my $number = @{ $case->{key} };
	$_->{number_in_row} = $number++ for @columns;
	$case->{values} = \@columns;
	return;
}

sub column
{
	my ($case, $name, $type, %more) = @_;
	my $of = $types{$type};
	my %column = (name => $name, type => $type, typed => $case->{source} eq 'query' && chance(0.5),
		values => [ @{ $of->{values} }, (undef) x int(rand 3) ], bad => $of->{bad}, %more);

	# In a document there is no text that is none; and a value of a type is one.
	$column{bad} = [] if $column{typed} || $of->{json} && $case->{source} eq 'ndjson';
	return \%column;
}

sub pick
{
	return $_[ int(rand @_) ];
}

sub chance
{
	return rand() < $_[0];
}

=pod

=item model_script(case, directory)

The whole case for psql, in a schema of its own; sources over HTTP are written to the directory, from
which server "files" must serve them.  Prints a line "differs: ..." for whatever is not as the model
says; at the end "did: " and what all runs together did, as JSON, and "agreed".

=back

=cut

sub model_script
{
	my ($case, $directory) = @_;
	my $sql = create_sql($case);

	for my $round (1 .. $case->{rounds})
	{
		my %run = (round => $round, dry => chance(0.1), limit => chance(0.08), call => chance(0.4), number => $round,
			order => pick(@order), u_mode => pick(0, 0, 1, 2), changed => pick(@shares), settings => pick(@settings));
		$run{limit} = 0 if $run{dry} || $run{call};
		$sql .= "\\echo round $round, order $run{order}\n$settings[0]\n";
		$sql .= change_source_sql($case, \%run);
		$sql .= disturb_sql($case) if $round > 1 || chance(0.5);
		$sql .= "VACUUM destination;\n" if chance(0.2);
		$sql .= fill_source_sql($case, \%run);
		$sql .= write_file_sql($case, $directory);
		$sql .= model_sql($case, \%run);
		$sql .= "$run{settings}\n" . run_sql($case, \%run) . "$settings[0]\n";
		$sql .= compare_sql($case, \%run);
		$sql .= memory_sql($case, \%run) . again_sql($case, \%run) if !$run{dry};
	}
	return $sql . <<'SQL';
SELECT 'did: ' || json_build_object('completed', count(*) FILTER (WHERE status = 'completed'), 'failed', count(*) FILTER (WHERE status = 'failed'),
	   'created', sum(records_created), 'updated', sum(records_updated), 'deleted', sum(records_deleted), 'unchanged', sum(records_unchanged),
	   'skipped', sum(records_skipped), 'invalid', sum(records_invalid), 'rejected', sum(records_rejected))
  FROM censync.runs WHERE started_at >= (SELECT min(started_at) FROM m.started);
SELECT 'agreed';
SQL
}

sub create_sql
{
	my ($case) = @_;
	my @key = @{ $case->{key} };
	my @values = @{ $case->{values} };
	my @all = (@key, @values);
	my $keys = names(@key);
	my $not_null = $case->{nullable} || $case->{key_kind} eq 'PRIMARY KEY' ? '' : ' NOT NULL';
	my @lines = map { "$_->{name} $_->{type}$not_null" } @key;
	my ($nulls) = $case->{key_kind} =~ /( NULLS NOT DISTINCT)/ ? $1 : '';
	my $constraint = $case->{key_kind} =~ /^INDEX/ ? '' : ", $case->{key_kind} ($keys)";
	my $include = @values && $case->{key_kind} =~ /^INDEX/ && !$case->{partitioned} && $values[0]{name} ne 'big' ? " INCLUDE ($values[0]{name})" : '';
	my %options = (on_duplicate => $case->{on_duplicate}, on_error => $case->{on_error}, max_rejected => $case->{max_rejected},
		max_deletes => $case->{max_deletes}, allow_empty_source => $case->{allow_empty} ? 'true' : 'false',
		mirror_scope => $case->{whole_table} ? 'table' : 'synced', $case->{source} eq 'query' ? () : (format => $case->{source}));
	my ($xs, $sources) = (join(', ', map { "x$_->{number_in_row} int" } @values), join(', ', map { "$_->{name} text" } @all));

	for (@values)
	{
		my $default = defined $_->{default} ? ' DEFAULT ' . sql_literal($_->{default}) : '';
		push @lines, "$_->{name} $_->{type}$default" . ($_->{check} ? " CHECK ($_->{check})" : '') . ($_->{notnull} ? ' NOT NULL' : '')
		  . ($_->{parent} ? ' REFERENCES parent' : '') . ($_->{unique} ? ' UNIQUE' : '');
	}
	splice @lines, int(rand @lines), 0, splice(@lines, int(rand @lines), 1) for 1 .. 5;
	my $columns = join ",\n\t", @lines;
	my $sql = <<SQL;
SET client_min_messages = error;
$settings[0]
SET jit = off;
SET lc_monetary = 'C';
SET work_mem = '$case->{work_mem}';
SET maintenance_work_mem = '$case->{maintenance_work_mem}';
SELECT censync_drop_sync(name) FROM censync.syncs \\g /dev/null
DROP SCHEMA IF EXISTS m CASCADE;
CREATE SCHEMA m;
SET search_path = m, public;
SELECT setseed(($case->{seed} % 20000) / 20000.0) \\g /dev/null
CREATE TABLE started AS SELECT clock_timestamp() AS started_at;
CREATE TABLE parent (p int PRIMARY KEY);
INSERT INTO parent SELECT generate_series(1, 9);
CREATE TABLE destination (gone int, $columns,
	note text DEFAULT 'default'$constraint)@{[ $case->{partitioned} ? " PARTITION BY HASH ($key[0]{name})" : '' ]};
SQL
	$sql .= "CREATE TABLE part$_ PARTITION OF destination FOR VALUES WITH (MODULUS 3, REMAINDER $_);\n" for $case->{partitioned} ? (0 .. 2) : ();
	$sql .= "ALTER TABLE destination DROP COLUMN gone;\n" if chance(0.5);
	$sql .= "CREATE UNIQUE INDEX ON destination ($keys)$include$nulls;\n" if $constraint eq '';
	$sql .= "CREATE TRIGGER frozen BEFORE INSERT OR UPDATE ON destination FOR EACH ROW EXECUTE FUNCTION keep_frozen();\n" if $case->{trigger};
	$sql .= sprintf "CREATE TABLE child (%s, FOREIGN KEY (%s) REFERENCES destination (%s) ON UPDATE CASCADE);\n",
	  join(', ', map { "$_->{name} $_->{type}" } @key), $keys, $keys;
	$sql .= sprintf "CREATE TABLE tracked (%s);\n", join(', ', map { "$_->{name} $_->{type}" } @key);
	$sql .= "CREATE TABLE base (i int, w int, copy bool, bad int, is_null int" . ($xs ? ", $xs" : '') . ");\n";
	$sql .= "CREATE TABLE source (rn int PRIMARY KEY, $sources);\n";
	$sql .= add_base_sql($case, "generate_series(0, $case->{rows} - 1) g", "$case->{offset} + 2 * g");
	$sql .= sprintf "SELECT censync_create_sync('model', 'destination', %s, sync_key => ARRAY[%s]%s%s, options => %s) \\g /dev/null\n",
	  sql_literal($case->{behavior}), join(', ', map { "'$_->{name}'" } @key), source_argument($case),
	  $case->{explicit} ? ', mappings => ' . sql_literal(mappings($case)) : '', sql_literal(JSON::PP->new->canonical->encode(\%options));
	return $sql;
}

# What the source calls a column.
sub source_name
{
	my ($case, $column) = @_;
	return $case->{explicit} ? "s_$column->{name}" : $column->{name};
}

sub source_argument
{
	my ($case) = @_;
	return ", server => 'files', object => 'model.$case->{source}'" if $case->{source} ne 'query';
	my $columns = join ', ', map { ($_->{typed} ? "CAST($_->{name} AS " . bare($_->{type}) . ')' : $_->{name}) . ' AS ' . source_name($case, $_) }
	  grep { !defined $_->{constant} } @{ $case->{key} }, @{ $case->{values} };
	return ', query => ' . sql_literal("SELECT $columns FROM source ORDER BY rn");
}

sub bare
{
	return $_[0] =~ s/ COLLATE.*//r;
}

sub mappings
{
	my ($case) = @_;
	my @members;

	for (@{ $case->{key} }, @{ $case->{values} })
	{
		my $name = source_name($case, $_);
		my %mapping = $_->{expression} ? (expression => $_->{expression} =~ s/\$/$name/gr) : (source => $name);
		$mapping{when_null} = 'skip' if $_->{skip};
		$mapping{when} = 'empty' if $_->{empty};
		push @members, sprintf('"%s": %s', $_->{name},
			defined $_->{constant} ? qq({"value": $_->{constant}}) : JSON::PP->new->canonical->encode(\%mapping));
	}
	return '{' . join(', ', @members) . '}';
}

sub add_base_sql
{
	my ($case, $from, $i) = @_;
	my $xs = join '', map { ', floor(random() * 1000)' } @{ $case->{values} };
	return "INSERT INTO base SELECT $i, floor(random() * 2), false, 0, 0$xs FROM $from;\n";
}

# Records vanish, come back, change and are new, anywhere in the order of keys.
sub change_source_sql
{
	my ($case, $run) = @_;
	my $xs = join '', map { ", x$_->{number_in_row} = floor(random() * 1000)" } @{ $case->{values} };
	my ($low, $size) = ($case->{offset}, 2 * $case->{rows} + 4);
	my ($first, $middle, $last) = ($low + $size / 10, $low + $size / 2, $low + $size * 0.9);
	my $some = pick(@shares[ 0, 1, 1, 2, 2 ]);
	my $sql = "DELETE FROM base WHERE copy;\nUPDATE base SET bad = 0, is_null = 0 WHERE bad <> 0 OR is_null <> 0;\n";

	if ($run->{round} > 1)
	{
		my $which = pick("random() < $some", "random() < $some", "i < $first", "i > $last", "abs(i - $middle) < $size / 20", 'false', 'true');
		$which = 'random() < 0.3' if $which eq 'true' && chance(0.6);
		$sql .= "DELETE FROM base WHERE $which;\n";
		$sql .= "UPDATE base SET w = floor(random() * 2)$xs WHERE random() < $run->{changed};\n" if $run->{changed} > 0;
		my $span = int($size / 20) + 2;
		my $from = pick("generate_series($low, $low + $size) g WHERE random() < $some / 2", "generate_series($low - $span, $low) g",
			"generate_series($low + $size, $low + $size + $span) g", "generate_series(@{[ int $middle ]}, @{[ int $middle + $span ]}) g", 'generate_series(1, 0) g');
		my $and = $from =~ /WHERE/ ? 'AND' : 'WHERE';
		$sql .= add_base_sql($case, "$from $and NOT EXISTS (SELECT FROM base b WHERE b.i = g)", 'g');
	}
	return $sql if !$case->{messy};
	my @xs = map { ", floor(random() * 1000)" } @{ $case->{values} };
	my $columns = @{ $case->{key} } + @{ $case->{values} };
	$sql .= "INSERT INTO base SELECT i, floor(random() * 2), true, 0, 0@xs FROM base WHERE random() < $case->{messy};\n" if chance(0.7);
	$sql .= "UPDATE base SET bad = 1 + floor(random() * $columns) WHERE random() < $case->{messy} / 2;\n" if chance(0.7);
	# What can't be read of a key holds up deletions: not always.
	$sql .= "UPDATE base SET bad = 0 WHERE bad BETWEEN 1 AND " . @{ $case->{key} } . ";\n" if chance(0.8);
	$sql .= "UPDATE base SET is_null = 1 + floor(random() * @{[ scalar @{ $case->{key} } ]}) WHERE random() < $case->{messy} / 4;\n" if chance(0.7);
	return $sql;
}

# The text of a key column, {i} and {w} put in.
sub key_text
{
	my ($column) = @_;
	my $text = $types{ $column->{type} }{key};

	$text =~ s/\{i\}/$column->{number}/g;
	$text =~ s/\{w\}/b.w/g;
	return "($text)";
}

sub value_text
{
	my ($column, $run) = @_;
	return u_text($run) if $column->{unique};
	return 'NULL' if defined $column->{constant};
	return text_array($column->{values}) . "[1 + b.x$column->{number_in_row} % " . @{ $column->{values} } . ']';
}

# Values that another row has given up, in chains of five, or that two rows swap.
sub u_text
{
	my ($run) = @_;
	my $place = 'b.i / 2 % 5';
	return "'u' || b.i" if $run->{u_mode} == 0;
	return "CASE WHEN $place < 4 THEN 'u' || (b.i + 2) ELSE 'f$run->{round}_' || b.i END" if $run->{u_mode} == 1;
	return "'u' || b.i + CASE $place WHEN 0 THEN 2 WHEN 1 THEN -2 ELSE 0 END";
}

sub text_array
{
	my ($texts) = @_;
	return '(ARRAY[' . join(', ', map { sql_literal($_) } @$texts) . ']::text[])';
}

sub typed
{
	my ($text, $column) = @_;
	return "CAST($text AS " . bare($column->{type}) . ')' . ($column->{type} =~ /( COLLATE .*)/ ? $1 : '');
}

# What an application does meanwhile.
sub disturb_sql
{
	my ($case) = @_;
	my @key = @{ $case->{key} };
	my @values = grep { !$_->{unique} && !$_->{parent} && !$_->{notnull} && !$_->{check} } @{ $case->{values} };
	my $keys = names(@key);
	my $set = join '', map { ", $_->{name} = " . typed(text_array($_->{values}) . '[1 + floor(random() * ' . @{ $_->{values} } . ')]', $_) } @values;
	my $required = join '', map { ", $_->{name}" } grep { $_->{notnull} || $_->{unique} } @{ $case->{values} };
	my $given = join '', map { $_->{unique} ? ", 'u' || b.i" : ", 'app'" } grep { $_->{notnull} || $_->{unique} } @{ $case->{values} };
	my $texts = join ', ', map { typed(key_text($_), $_) } @key;
	my $share = pick(0, 0.02, 0.1);
	my $range = "(SELECT $case->{offset} + floor(random() * (2 * $case->{rows} + 10))::int AS i, floor(random() * 2)::int AS w FROM generate_series(1, 3 + $case->{rows} * $share)) b";

	my $sql = <<SQL;
DELETE FROM child WHERE random() < 0.3;
DELETE FROM destination WHERE random() < $share AND NOT EXISTS (SELECT FROM child c WHERE @{[ same('c', 'destination', @key) ]});
UPDATE destination SET note = 'app'$set WHERE random() < $share;
INSERT INTO destination ($keys, note$required) SELECT $texts, 'app'$given FROM $range ON CONFLICT DO NOTHING;
INSERT INTO child SELECT $keys FROM destination WHERE random() < $share / 2;
SQL
	$sql .= "INSERT INTO destination (note$required) SELECT 'app'" . ($given =~ s/b\.i/'n' || random()/r) . " ON CONFLICT DO NOTHING;\n"
	  if $case->{nullable} && !$case->{partitioned} && chance(0.5);
	return $sql;
}

# The records, numbered in some order.
sub fill_source_sql
{
	my ($case, $run) = @_;
	my @key = @{ $case->{key} };
	my @all = (@key, @{ $case->{values} });
	my @typed = map { typed(key_text($_), $_) } @key;
	my %by = (key => join(', ', @typed), reverse => join(', ', map { "$_ DESC" } @typed), random => 'random()',
		heap => 'd.tableoid, d.ctid, random()', blocks => 'md5((q.place / 100)::text), q.place',
		nearly => 'q.place + CASE WHEN random() < 0.01 THEN random() * 1000 ELSE 0 END');
	my @columns;
	my $n = 0;

	for (@all)
	{
		$n++;
		my $text = $_->{is_key} ? key_text($_) : value_text($_, $run);
		$text = "CASE WHEN b.bad = $n THEN " . text_array($_->{bad}) . '[1 + (random() * 99)::int % ' . @{ $_->{bad} } . "] ELSE $text END" if @{ $_->{bad} };
		$text = "CASE WHEN b.is_null = $n THEN NULL ELSE $text END" if $_->{is_key};
		push @columns, "$text AS $_->{name}";
	}
	my $inner = 'base b';
	$inner = '(SELECT b.*, row_number() OVER (ORDER BY ' . $by{key} . ') AS place FROM base b) b' if $run->{order} =~ /blocks|nearly/;
	my $order = $by{ $run->{order} } =~ s/q\.place/b.place/gr;
	my $join = $run->{order} eq 'heap' ? ' LEFT JOIN destination d ON ' . join(' AND ', map { "d.$key[$_]{name} = $typed[$_]" } 0 .. $#key) : '';
	return "TRUNCATE source;\nINSERT INTO source SELECT row_number() OVER (), q.* FROM (SELECT @{[ join ', ', @columns ]} FROM $inner$join ORDER BY $order) q;\nANALYZE source;\n";
}

sub write_file_sql
{
	my ($case, $directory) = @_;
	return '' if $case->{source} eq 'query';
	my $json = $case->{source} eq 'ndjson';
	my $columns = join ', ', map { ($json && $types{ $_->{type} }{json} ? "$_->{name}::json" : $_->{name}) . ' AS ' . source_name($case, $_) }
	  grep { !defined $_->{constant} } @{ $case->{key} }, @{ $case->{values} };
	my $file = sql_literal("$directory/model.$case->{source}");
	return "COPY (SELECT $columns FROM source ORDER BY rn) TO $file (FORMAT csv, HEADER);\n" if !$json;
	# JSON has no control characters: this CSV is the lines themselves.
	return "COPY (SELECT row_to_json(q) FROM (SELECT $columns FROM source ORDER BY rn) q) TO $file (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02');\n";
}

# Tables "expected", what the destination will be; "wanted", status and counts; "refused", the records
# that will be invalid or rejected; "written", the keys that will have been written.
sub model_sql
{
	my ($case, $run) = @_;
	my @key = @{ $case->{key} };
	my @all = (@key, @{ $case->{values} });
	my $keys = names(@key);
	my $n = 0;
	my (@bad, @bad_key, @given);

	for (@all)
	{
		my $is_bad = @{ $_->{bad} } ? "coalesce(q.$_->{name} = ANY (" . text_array($_->{bad}) . '), false)' : 'false';
		my $value = typed("q.$_->{name}", $_);

		$value = $_->{expression} =~ s/"\$"/q.$_->{name}/gr if $_->{expression};
		$value = $_->{constant} if defined $_->{constant};
		push @bad, $is_bad;
		push @bad_key, $is_bad if $_->{is_key};
		push @given, "CASE WHEN NOT $is_bad THEN $value END";
	}
	my $limit = $run->{limit} ? 'WHERE rn <= (SELECT count(*) / 2 FROM source)' : '';
	my $declared = join ', ', map { "$_->{name} $_->{type}" } @all;
	my $taken = { first => 'is_first', last => 'is_last' }->{ $case->{on_duplicate} } // 'copies = 1';
	my $superseded = $case->{on_duplicate} =~ /first|last/ ? 'true' : 'false';
	return <<SQL . plan_sql($case, $run) . apply_sql($case, $run) . wanted_sql($case, $run);
DROP TABLE IF EXISTS versions, expected, numbered, kept, refused, plan, vanished, wanted;
CREATE TEMP TABLE versions AS SELECT tableoid AS t, ctid AS c, xmin::text AS x, xmax::text AS l FROM destination;
CREATE TEMP TABLE expected AS SELECT row_number() OVER () AS row_id, d.* FROM destination d;
CREATE TEMP TABLE numbered (rn int, bad bool, bad_key bool, null_key bool, $declared);
INSERT INTO numbered SELECT rn, @{[ join ' OR ', @bad ]}, @{[ join ' OR ', @bad_key ]}, num_nulls($keys) > 0, @{[ join ', ', @given ]} FROM source q $limit;
CREATE TEMP TABLE kept AS SELECT s.*, count(*) OVER same AS copies, rn = min(rn) OVER same AS is_first, rn = max(rn) OVER same AS is_last
  FROM numbered s WHERE NOT bad AND NOT null_key WINDOW same AS (PARTITION BY $keys);
CREATE TEMP TABLE refused AS SELECT rn, 'invalid' AS status, false AS superseded FROM numbered WHERE bad OR null_key
  UNION ALL SELECT rn, 'invalid', $superseded FROM kept WHERE NOT ($taken);
DELETE FROM kept WHERE NOT ($taken);
ANALYZE expected; ANALYZE numbered; ANALYZE kept;
SQL
}

# What would happen to each record that is left, and which rows would be deleted.
sub plan_sql
{
	my ($case, $run) = @_;
	my @key = @{ $case->{key} };
	my (@new, @differs);
	my @static = ('false');

	for (@key, @{ $case->{values} })
	{
		my ($given, $old) = ("s.$_->{name}", "d.$_->{name}");
		my $default = defined $_->{default} ? typed(sql_literal($_->{default}), $_) : 'NULL';
		my ($for_new, $for_old) = ($given, $given);

		($for_new, $for_old) = map { "CASE WHEN num_nulls($given) = 1 THEN $_ ELSE $given END" } $default, $old if $_->{skip};
		$for_old = "CASE WHEN num_nulls($old) = 1 OR $old\::text = '' THEN $for_old ELSE $old END" if $_->{empty};
		push @new, "CASE WHEN d.row_id IS NULL THEN $for_new ELSE $for_old END AS $_->{name}";
		push @differs, image($old) . ' IS DISTINCT FROM ' . image($for_old);
		push @static, "NOT coalesce($_->{check}, true)" if $_->{check};
		push @static, "$_->{name} IS NULL" if $_->{notnull};
		push @static, "$_->{name} NOT BETWEEN 1 AND 9" if $_->{parent};
	}
	my $insert = $case->{behavior} eq 'update' ? 'skip' : 'insert';
	my $update = $case->{behavior} eq 'append' ? 'none' : 'update';
	my $frozen = $case->{trigger} ? 'coalesce(c = 77, false)' : 'false';
	my $deletes = $case->{behavior} ne 'mirror' || $run->{limit} ? 'false' : 'NOT (SELECT coalesce(bool_or(bad_key), false) FROM numbered)';
	my $mine = $case->{whole_table} ? 'true' : 'EXISTS (SELECT FROM tracked t WHERE ' . same('t', 'd', @key) . ')';
	return <<SQL;
CREATE TEMP TABLE plan AS SELECT p.*, CASE WHEN NOT present THEN '$insert' WHEN differs THEN '$update' ELSE 'none' END AS op,
	   coalesce(@{[ join ' OR ', @static ]}, false) AS refused, $frozen AS frozen, false AS done
  FROM (SELECT s.rn, d.row_id IS NOT NULL AS present, coalesce(d.row_id, -s.rn) AS row_id, @{[ join ', ', @new ]}, @{[ join ' OR ', @differs ]} AS differs
		  FROM kept s LEFT JOIN expected d ON @{[ same('d', 's', @key) ]}) p;
CREATE TEMP TABLE vanished AS SELECT d.row_id, EXISTS (SELECT FROM child c WHERE @{[ same('c', 'd', @key) ]}) AS referenced FROM expected d
 WHERE $deletes AND num_nulls(@{[ join ', ', map { "d.$_->{name}" } @key ]}) = 0 AND $mine AND NOT EXISTS (SELECT FROM numbered s WHERE @{[ same('s', 'd', @key) ]});
ANALYZE plan;
SQL
}

# Applies what can be, until nothing more can: a unique value may have to be given up by another row first,
# or two rows or more exchange theirs, where a NULL may stand in for a moment.
sub apply_sql
{
	my ($case) = @_;
	my @all = (@{ $case->{key} }, @{ $case->{values} });
	my ($unique) = grep { $_->{unique} } @all;
	my $holder = 'SELECT FROM expected e WHERE e.u = p.u AND e.row_id <> p.row_id';
	my $free = $unique ? "NOT EXISTS ($holder)" : 'true';
	my $exchanges = $unique && !$unique->{notnull} && !$unique->{skip} && !$unique->{empty} ? 'true' : 'false';
	my $among = $unique ? "NOT EXISTS ($holder AND e.row_id NOT IN (SELECT row_id FROM plan WHERE rn = ANY (ring)))" : 'true';
	my $set = join ', ', map { "$_->{name} = p.$_->{name}" } @all;
	my $names = names(@all);
	return <<SQL;
DELETE FROM expected WHERE row_id IN (SELECT row_id FROM vanished WHERE NOT referenced);
DO \$\$
DECLARE
	free int[];
	ring int[];
BEGIN
	LOOP
		LOOP
			free := ARRAY(SELECT rn FROM plan p WHERE op IN ('insert', 'update') AND NOT refused AND NOT frozen AND NOT done AND $free);
			EXIT WHEN free = '{}';
			UPDATE expected e SET $set FROM plan p JOIN unnest(free) f ON f = p.rn WHERE e.row_id = p.row_id AND p.op = 'update';
			INSERT INTO expected (row_id, $names, note) SELECT row_id, $names, 'default' FROM plan p JOIN unnest(free) f ON f = p.rn WHERE op = 'insert';
			UPDATE plan p SET done = true FROM unnest(free) f WHERE f = p.rn;
		END LOOP;
		ring := ARRAY(SELECT rn FROM plan WHERE $exchanges AND op = 'update' AND NOT refused AND NOT frozen AND NOT done);
		LOOP
			free := ARRAY(SELECT rn FROM plan p WHERE rn = ANY (ring) AND $among);
			EXIT WHEN cardinality(free) = cardinality(ring);
			ring := free;
		END LOOP;
		EXIT WHEN ring = '{}';
		UPDATE expected e SET $set FROM plan p JOIN unnest(ring) f ON f = p.rn WHERE e.row_id = p.row_id;
		UPDATE plan p SET done = true FROM unnest(ring) f WHERE f = p.rn;
	END LOOP;
END \$\$;
INSERT INTO refused SELECT rn, 'rejected', false FROM plan WHERE op IN ('insert', 'update') AND NOT frozen AND NOT done;
SQL
}

sub wanted_sql
{
	my ($case, $run) = @_;
	my $real = $run->{dry} ? 'false' : 'true';
	my $mirror = $case->{behavior} eq 'mirror' && !$run->{limit} ? 'true' : 'false';
	my $empty = $case->{allow_empty} ? 'false' : 'true';
	my $of = $case->{whole_table} ? 'SELECT count(*) FROM destination WHERE num_nulls(' . names(@{ $case->{key} }) . ') = 0'
	  : 'SELECT count(*) FROM (SELECT FROM tracked GROUP BY ' . names(@{ $case->{key} }) . ') t';
	my $duplicate = $case->{on_duplicate} eq 'fail' ? 'EXISTS (SELECT FROM refused r JOIN numbered n USING (rn) WHERE status = \'invalid\' AND NOT bad AND NOT null_key)' : 'false';
	my $strict = $case->{on_error} eq 'fail' ? 'true' : 'false';
	my $restore = 'DELETE FROM expected; INSERT INTO expected SELECT row_number() OVER (), d.* FROM destination d';
	my $first = $case->{on_error} eq 'fail' ? 'true' : 'false';
	return <<SQL;
CREATE TEMP TABLE wanted AS
SELECT CASE WHEN $duplicate OR $strict AND invalid - superseded + CASE WHEN $real THEN rejected + kept_rows ELSE 0 END > 0
				 OR invalid - superseded + CASE WHEN $real THEN rejected ELSE 0 END > $case->{max_rejected} * read
				 OR $mirror AND ($empty AND read = 0 OR vanished > $case->{max_deletes} * ($of)) THEN 'failed' ELSE 'completed' END AS status, x.*
  FROM (SELECT (SELECT count(*) FROM numbered) AS read, (SELECT count(*) FROM vanished) AS vanished, (SELECT count(*) FROM vanished WHERE referenced) AS kept_rows,
			   (SELECT count(*) FROM refused WHERE status = 'invalid') AS invalid, (SELECT count(*) FROM refused WHERE superseded) AS superseded,
			   (SELECT count(*) FROM refused WHERE status = 'rejected') AS rejected, (SELECT count(*) FROM plan WHERE op = 'insert' AND (done OR NOT $real)) AS created,
			   (SELECT count(*) FROM plan WHERE op = 'update' AND (done OR NOT $real)) AS updated,
			   (SELECT count(*) FROM vanished WHERE NOT referenced OR NOT $real) AS deleted,
			   (SELECT count(*) FROM plan WHERE op = 'none') AS unchanged,
			   (SELECT count(*) FROM plan WHERE op = 'skip' OR $real AND frozen AND op <> 'none') AS skipped) x;
DO \$\$ BEGIN
	IF NOT $real OR (SELECT status FROM wanted) = 'failed' THEN $restore; END IF;
END \$\$;
SQL
}

sub run_sql
{
	my ($case, $run) = @_;
	return "\\set ON_ERROR_STOP 0\nCALL censync_sync('model');\n\\set ON_ERROR_STOP 1\n"
	  if $run->{call} && !$run->{dry};
	my $arguments = $run->{dry} ? ', dry_run => true' : $run->{limit} ? ', "limit" => (SELECT count(*) / 2 FROM source)' : '';
	return "SELECT FROM censync_run('model'$arguments) \\g /dev/null\n";
}

sub compare_sql
{
	my ($case, $run) = @_;
	my @columns = map { $_->{name} } @{ $case->{key} }, @{ $case->{values} };
	my $images = join ', ', map { image($_) } @columns;
	my $counts = join ', ', map { "records_$_" } qw(created updated deleted unchanged skipped invalid);
	my $rejected = $run->{dry} ? '0::bigint' : 'rejected + kept_rows';
	my $refused = $run->{dry} ? "WHERE status = 'invalid'" : '';
	return <<SQL;
CREATE TEMP TABLE got AS SELECT * FROM censync.runs ORDER BY run_id DESC LIMIT 1;
SELECT 'differs: wanted ' || w.status || ', got ' || g.status || coalesce(': ' || error_message || ' ' || coalesce(error_detail, ''), '') FROM wanted w, got g WHERE w.status <> g.status;
SELECT 'differs: counts (created, updated, deleted, unchanged, skipped, invalid, rejected) wanted ' || w || ', got ' || g
  FROM (SELECT ROW(created, updated, deleted, unchanged, skipped, invalid, $rejected) AS w FROM wanted WHERE status = 'completed') w,
	   (SELECT ROW($counts, records_rejected) AS g FROM got WHERE status = 'completed') g WHERE w <> g;
SELECT 'differs: row ' || x FROM ((SELECT 'missing', $images, note FROM (SELECT $images, note FROM expected EXCEPT ALL SELECT $images, note FROM destination) q (@{[ names(@{ $case->{key} }, @{ $case->{values} }) ]}, note) LIMIT 3)
	UNION ALL (SELECT 'surplus', $images, note FROM (SELECT $images, note FROM destination EXCEPT ALL SELECT $images, note FROM expected) q (@{[ names(@{ $case->{key} }, @{ $case->{values} }) ]}, note) LIMIT 3)) x;
SELECT 'differs: refused record ' || x FROM ((SELECT 'missing', rn, status FROM refused $refused EXCEPT SELECT 'missing', record_number, status FROM censync.records WHERE run_id = (SELECT run_id FROM got))
	UNION ALL (SELECT 'surplus', record_number, status FROM censync.records WHERE run_id = (SELECT run_id FROM got) AND operation <> 'delete' EXCEPT SELECT 'surplus', rn, status FROM refused $refused)) x, got WHERE got.status = 'completed' LIMIT 5;
SELECT 'differs: ' || changed || ' new row versions, counted ' || counted
  FROM (SELECT count(*) AS changed FROM destination d WHERE NOT EXISTS (SELECT FROM versions v WHERE v.t = d.tableoid AND v.c = d.ctid AND v.x = d.xmin::text)) x,
	   (SELECT CASE WHEN status = 'completed' AND NOT dry_run THEN records_created + records_updated ELSE 0 END AS counted FROM got) y WHERE changed <> counted;
SELECT 'differs: ' || count(*) || ' rows locked' FROM destination d JOIN versions v ON v.t = d.tableoid AND v.c = d.ctid AND v.x = d.xmin::text
 WHERE v.l <> d.xmax::text AND (SELECT status = 'completed' AND records_rejected = 0 AND records_skipped = 0 FROM got) HAVING count(*) > 0;
DROP TABLE got;
SQL
}

# What the mirror remembers from now on.
sub memory_sql
{
	my ($case, $run) = @_;
	return '' if $case->{behavior} ne 'mirror' || $case->{whole_table};
	my @key = @{ $case->{key} };
	my $keys = names(@key);
	my $full = $run->{limit} ? 'false' : 'NOT (SELECT coalesce(bool_or(bad_key), false) FROM numbered)';
	return <<SQL;
DELETE FROM tracked t WHERE (SELECT status FROM wanted) = 'completed' AND $full
   AND NOT EXISTS (SELECT FROM expected d WHERE @{[ same('d', 't', @key) ]}) AND NOT EXISTS (SELECT FROM numbered s WHERE @{[ same('s', 't', @key) ]});
INSERT INTO tracked SELECT $keys FROM plan p WHERE (SELECT status FROM wanted) = 'completed' AND done
   AND NOT EXISTS (SELECT FROM tracked t WHERE @{[ same('t', 'p', @key) ]});
SQL
}

# The same once more, in a session with other settings, changes nothing.
sub again_sql
{
	my ($case, $run) = @_;
	return '' if $run->{limit};
	my %again = (%$run, call => !$run->{call}, dry => 0);
	return <<SQL;
DROP TABLE versions;
CREATE TEMP TABLE versions AS SELECT tableoid AS t, ctid AS c, xmin::text AS x FROM destination;
@{[ pick(@settings) ]}
@{[ run_sql($case, \%again) ]}
$settings[0]
SELECT 'differs: the second run ' || row_to_json(r) FROM (SELECT * FROM censync.runs ORDER BY run_id DESC LIMIT 1) r, wanted w
 WHERE r.status <> w.status OR records_created + records_updated + records_deleted > 0;
SELECT 'differs: the second run made ' || count(*) || ' row versions' FROM destination d
 WHERE NOT EXISTS (SELECT FROM versions v WHERE v.t = d.tableoid AND v.c = d.ctid AND v.x = d.xmin::text) HAVING count(*) > 0;
SQL
}

# The collation of a column must not say what its image is.
sub image
{
	return "(image($_[0]) COLLATE \"C\")";
}

sub names
{
	return join ', ', map { $_->{name} } @_;
}

sub same
{
	my ($left, $right, @key) = @_;
	return join ' AND ', map { "$left.$_->{name} = $right.$_->{name}" } @key;
}

1;
