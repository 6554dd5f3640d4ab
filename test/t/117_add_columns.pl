# Option add_columns with a source elsewhere: its columns come with its types, by runs of every kind, where the owner
# may alter the table.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use CensyncTest;
use CensyncRemote;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('here', "timezone = 'UTC'");
my $remote = new_remote('there');
my $option = q(options => '{"add_columns": true}');

$remote->safe_psql('postgres', q{
	CREATE TYPE mood AS ENUM ('good', 'bad');
	CREATE TABLE src (id int PRIMARY KEY, name varchar(20) NOT NULL DEFAULT 'x', amount numeric(9, 3), at timestamptz(3), tags text[], doc jsonb,
		"Weird ""; DROP TABLE dst; --" bytea, m mood);
	INSERT INTO src VALUES (1, 'one', 1.5, '2026-01-01 10:00:00.123+00', '{a,b}', '{"a": 1.50}', '\x00ff', 'bad');
	INSERT INTO src (id) VALUES (2)});
create_remote_server($node, 'there', $remote);
sql(q{CREATE TABLE dst (id int PRIMARY KEY); INSERT INTO dst VALUES (1), (3)});

test_types();
test_later();
test_owner();
test_refused();
ok(is_quiet($remote), 'no connection is left');
$node->stop;
$remote->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub columns
{
	return sql(q{SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' not null' ELSE '' END, ', ' ORDER BY attnum)
		FROM pg_attribute WHERE attrelid = 'dst'::regclass AND attnum > 0 AND NOT attisdropped});
}

sub error_of
{
	my (undef, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$_[0]");
	return $err;
}

sub test_types
{
	like(error_of("SELECT censync_create_sync('s', 'dst', 'upsert', server => 'there', object => 'src', $option)"),
		qr/NOTICE: .* a run would add column "name" character varying\(20\) to destination/, 'the definition says what is missing');
	like(run_sync($node, 's', dry_run => 1)->{_stderr}, qr/a run would add column "amount" numeric\(9,3\)/, 'so does a dry run');
	is(columns(), 'id integer not null', 'neither adds any');
	is(run_sync($node, 's')->{records_created}, 1, 'a run');
	is(columns(), 'id integer not null, name character varying(20), amount numeric(9,3), at timestamp(3) with time zone, tags text[], doc jsonb, '
		  . 'Weird "; DROP TABLE dst; -- bytea, m text', 'adds them all, nullable, with the types of the source');
	is(sql('SELECT * FROM dst ORDER BY id'), qq(1|one|1.500|2026-01-01 10:00:00.123+00|{a,b}|{"a": 1.50}|\\x00ff|bad\n2|x||||||\n3|||||||), 'and fills them');
	is(run_sync($node, 's')->{records_unchanged}, 2, 'the next run changes nothing');
}

# Columns that come and go at the source, for both ways to run.
sub test_later
{
	$remote->safe_psql('postgres', 'ALTER TABLE src ADD later date DEFAULT current_date, DROP doc');
	like(run_sync($node, 's', dry_run => 1)->{_stderr}, qr/a run would add column "later" date/, 'a new column of the source');
	is(sql(q{SELECT status || ' ' || records_updated FROM censync_run('s')}), 'completed 2', 'by censync_run');
	like(columns(), qr/doc jsonb, .*, later date$/, 'one that is gone stays here');
	$remote->safe_psql('postgres', 'ALTER TABLE src ADD last int DEFAULT 7');
	my $log = -s $remote->logfile;
	$remote->safe_psql('postgres', q{ALTER SYSTEM SET log_connections = on; SELECT pg_reload_conf()});
	ok(wait_for($remote, q{SELECT current_setting('log_connections') ~ 'on|all'}), 'connections are logged');
	sql(q{CALL censync_sync('s')});
	is(scalar(() = slurp_file($remote->logfile, $log) =~ /connection authorized: user=reader/g), 2, 'by CALL: it is looked for once, and read once');
	is(sql('SELECT count(*) FROM dst WHERE last = 7'), 2, 'it is filled');
	$remote->stop;
	like(run_sync($node, 's')->{error_code}, qr/^08001$/, 'a source that can not be asked');
	$remote->start;
}

sub test_owner
{
	sql(q{CREATE ROLE adder LOGIN; CREATE ROLE holder; SET client_min_messages = error; CALL censync_admit('adder', 'owner');
		ALTER TABLE dst OWNER TO holder; GRANT ALL ON dst TO adder; GRANT USAGE ON FOREIGN SERVER there TO adder; ALTER TABLE dst DROP last, DROP later});
	sql(sprintf q{CREATE USER MAPPING FOR adder SERVER there OPTIONS (user 'reader', password %s)}, sql_literal($remote_password));
	my $create = "SELECT censync_create_sync('a', 'dst', 'upsert', server => 'there', object => 'src', $option)";
	like(error_of("SET ROLE adder; $create"), qr/42501: role adder must own destination .*dst to add columns to it\nHINT:  Its owner is holder/, 'not the owner');
	sql('GRANT holder TO adder');
	sql("SET ROLE adder; $create");
	sql('REVOKE holder FROM adder');
	my $run = run_sync($node, 'a');
	is("$run->{status} $run->{error_code}", 'failed 42501', 'nor one who was');
	unlike(columns(), qr/last|later/, 'nothing is added');
	sql('GRANT holder TO adder');
	is(run_sync($node, 'a')->{status}, 'completed', 'a member of the owner');
	like(columns(), qr/later date, last integer$/, 'adds them');
	sql(q{SELECT censync_drop_sync('a')});
}

sub test_refused
{
	foreach my $case ([ 'SELECT id, 1 AS ctid FROM src', '42701', 'Every table has a system column of that name' ],
		[ 'SELECT id, 1 FROM src', '42611', 'It has no name' ])
	{
		my ($query, $code, $why) = @$case;
		like(error_of("SELECT censync_create_sync('r', 'dst', 'upsert', server => 'there', query => '$query', $option)"), qr/$code: .*$why/s, $query);
	}
	like(error_of(qq{CREATE SERVER web TYPE 'http' FOREIGN DATA WRAPPER censync OPTIONS (url 'https://127.0.0.1/');
		SELECT censync_create_sync('r', 'dst', 'upsert', server => 'web', $option)}), qr/0A000: option "add_columns" needs a source that knows its columns/, 'HTTP knows none');
}
