# Incremental reads of an endpoint that takes an updated_since: what is asked for, in which form, and
# that a record which could not be applied is asked for again.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
my $http = start_http();
my $json = JSON::PP->new->canonical;
my $seen = 0;
my $count = 0;

create_server($node, 'src', $http, records => '/data', pagination => 'cursor');

test_paging();
test_bad_records();
test_formats();
test_types();
test_misspelt();

$node->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

# A new sync of the set of that name; options go on top of those that all have.
sub new_sync
{
	my ($set, $columns, %options) = @_;
	my $name = 's' . ++$count;
	sql("CREATE TABLE $name ($columns)");
	%options = (cursor_column => 'updated_at', cursor_request_param => 'updated_since', %options);
	my $object = $options{pagination} && $options{pagination} eq 'none' ? "data/$set" : "pages/cursor?set=$set&size=2";
	sql("SELECT censync_create_sync('$name', '$name', 'upsert', server => 'src', object => '$object', options => "
		. sql_literal($json->encode(\%options)) . ")");
	return $name;
}

# Runs it: what it read, what it asked for (once for each page), and the watermark.
sub reads
{
	my ($name, $read, $asked, $watermark, $title, $parameter) = @_;
	my $run = run_sync($node, $name);
	my @requests = $http->log;
	@requests = @requests[ $seen .. $#requests ];
	$seen += @requests;
	is("$run->{status} $run->{records_read}", "completed $read", "$title: records read");
	my %asked = map { ($_->{query}{ $parameter // 'updated_since' } // 'everything') => 1 } @requests;
	is(join(' ', sort keys %asked), $asked, "$title: asked for");
	is(sql("SELECT watermark FROM censync.syncs WHERE name = '$name'"), $watermark, "$title: watermark");
	return $run;
}

sub put
{
	my ($set, @records) = @_;
	$http->put($set, $json->encode(\@records));
	return;
}

sub test_paging
{
	my @records = map { { id => $_, updated_at => "2026-01-0${_}T10:00:00Z" } } 1 .. 5;
	put('paged', @records);
	my $name = new_sync('paged', 'id int PRIMARY KEY, updated_at timestamptz');
	reads($name, 5, 'everything', '2026-01-05 10:00:00+00', 'first run');
	reads($name, 1, '2026-01-05T10:00:00Z', '2026-01-05 10:00:00+00', 'nothing new');
	$_->{updated_at} = '2026-01-06T12:30:00.25+02:00' foreach @records[ 0 .. 2 ];
	put('paged', @records);
	# Every page of the read asks for the same.
	reads($name, 4, '2026-01-05T10:00:00Z', '2026-01-06 10:30:00.25+00', 'three changed');
	reads($name, 3, '2026-01-06T10:30:00.25Z', '2026-01-06 10:30:00.25+00', 'a fraction of a second');
	sql("SELECT censync_alter_sync('$name', options => '{\"cursor_overlap\": \"1 day 30 minutes\"}')");
	reads($name, 4, '2026-01-05T10:00:00.25Z', '2026-01-06 10:30:00.25+00', 'an overlap');
	return;
}

sub test_bad_records
{
	my @records = map { { id => $_, n => $_, updated_at => "2026-01-0${_}" } } 1 .. 5;
	$records[2]{n} = 'three';
	$records[3]{n} = -4;
	put('bad', @records);
	my $name = new_sync('bad', 'id int PRIMARY KEY, n int CHECK (n > 0), updated_at date');
	reads($name, 5, 'everything', '2026-01-03', 'an invalid and a rejected record');
	$records[2]{n} = 3;
	put('bad', @records);
	reads($name, 3, '2026-01-03', '2026-01-04', 'the rejected one is left');
	# Neither its value nor its cursor can be read: nobody knows from where on to ask for it.
	push @records, { id => 6, n => 'six', updated_at => 'yesterday-ish' };
	$records[3]{n} = 4;
	put('bad', @records);
	my $run = reads($name, 3, '2026-01-04', '2026-01-04', 'a bad record with a bad cursor');
	like($run->{_stderr}, qr/WARNING:  the watermark of sync "$name" stays where it is/, '... with a warning');
	# One without a cursor: the endpoint may never give it again.
	$records[5] = { id => 6, n => 'six', updated_at => undef };
	my $open = new_sync('open', 'id int PRIMARY KEY, n int, updated_at date', pagination => 'none', records => '', cursor_request_param => 'id');
	put('open', @records);
	reads($open, 6, 'everything', '', 'a bad record without a cursor', 'id');
	$records[5]{n} = 6;
	put('open', @records);
	reads($open, 6, 'everything', '2026-01-05', 'a good record without a cursor', 'id');
	# What is no record at all.
	$http->put('open', '[{"id": 7, "n": 7, "updated_at": "2026-01-07"}, 8]');
	reads($open, 2, '2026-01-05', '2026-01-05', 'a record that is none', 'id');
	return;
}

sub test_formats
{
	my @cases = (
		[ 'timestamptz', '2026-01-05T10:00:00.123456Z', 'iso',      '2026-01-05T10:00:00.123456Z' ],
		[ 'timestamptz', '2026-01-05T10:00:00.123456Z', 'epoch',    '1767607200' ],
		[ 'timestamptz', '2026-01-05T10:00:00.123956Z', 'epoch_ms', '1767607200123' ],
		[ 'timestamptz', '1969-12-31T23:59:59.5Z',      'epoch',    '-1' ],
		[ 'timestamptz', '1969-12-31T23:59:59.9999Z',   'epoch_ms', '-1' ],
		[ 'timestamp',   '2026-01-05 10:00:00',         undef,      '2026-01-05T10:00:00' ],
		[ 'timestamp',   '2026-01-05 10:00:00',         'epoch',    '1767607200' ],
		[ 'date',        '2026-01-05',                  'epoch',    '1767571200' ],
		[ 'bigint',      '9007199254740993',            undef,      '9007199254740993' ],
		[ 'numeric',     '1.50',                        undef,      '1.50' ],
		[ 'text',        'a b&c=ü',                     undef,      "a b&c=ü" ]);
	foreach my $case (@cases)
	{
		my ($type, $value, $format, $asked) = @$case;
		my $name = new_sync('form', 'id int PRIMARY KEY', pagination => 'none', records => '', cursor_type => $type,
			cursor_request_param => 'id', $format ? (cursor_request_format => $format) : ());
		$http->put('form', qq([{"id": 1, "updated_at": "$value"}]));
		run_sync($node, $name);
		run_sync($node, $name);
		my $request = ($http->log)[-1]{query}{id};
		utf8::encode($request);
		is($request, $asked, "$type as " . ($format // 'it is') . ": $value");
	}
	$seen = () = $http->log;
	return;
}

# The type is that of the column it goes to, however it is called there, or what cursor_type says.
sub test_types
{
	$http->put('types', '[{"id": 1, "meta": {"seq": 9}}, {"id": 2, "meta": {"seq": 10}}]');
	my %options = (pagination => 'none', records => '', cursor_column => 'meta.seq', cursor_request_param => 'id');
	my $mapped = new_sync('types', 'id int PRIMARY KEY, seq int', %options, cursor_type => 'text');
	reads($mapped, 2, 'everything', '9', 'as text 9 is greater than 10', 'id');
	sql("SELECT censync_alter_sync('$mapped', mappings => '{\"id\": \"id\", \"seq\": \"meta.seq\"}', options => '{\"cursor_type\": null}')");
	reads($mapped, 2, 'everything', '10', 'as the column it is mapped to', 'id');
	sql("ALTER TABLE $mapped ALTER seq TYPE bigint");
	my $run = reads($mapped, 2, 'everything', '10', 'the column has another type', 'id');
	like($run->{_stderr}, qr/NOTICE:  cursor "meta.seq" is of type bigint by now: everything is read/, '... which is said');
	reads($mapped, 2, '10', '10', 'and then goes on', 'id');
	# Records that can be applied, with cursors that cannot be read.
	$http->put('types', '[{"id": 3, "meta": {"seq": 11}}, {"id": 4, "meta": {"seq": "x"}}]');
	my $loose = new_sync('types', 'id int PRIMARY KEY', %options, cursor_type => 'bigint');
	$run = reads($loose, 2, 'everything', '11', 'a cursor that is no number', 'id');
	like($run->{_stderr}, qr/WARNING:  sync "$loose" read cursors that are not of type bigint\nDETAIL:  There are 1/, '... which is said');
	return;
}

sub test_misspelt
{
	$http->put('form', '[{"id": 1, "updated_at": "2026-01-05"}]');
	my $name = new_sync('form', 'id int PRIMARY KEY', pagination => 'none', records => '', cursor_type => 'date',
		cursor_column => 'updatedAt', cursor_request_param => 'id');
	my $run = run_sync($node, $name);
	is("$run->{status} $run->{error_code} $run->{error_message}",
		'failed 42703 no record of the source has "updatedAt"', 'a cursor that no record has');
	is(sql("SELECT count(*) FROM $name"), '0', '... and nothing is changed');
	return;
}
