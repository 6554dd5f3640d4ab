# A server that does not speak as a PostgreSQL does: rows that are none, ends that are none, text that is none.  Never a
# crash, never a value that is not what it claims, never an end of the data.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use CensyncTest;
use IO::Socket::INET;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('here');
$node->safe_psql('postgres', q{CREATE TABLE t (id int PRIMARY KEY, v varchar(5)); INSERT INTO t VALUES (-1, 'mine')});
my $before = table_state($node, 't');

my $header = "PGCOPY\n\xff\r\n\0" . pack('NN', 0, 0);
my $trailer = pack('n', 0xffff);
my @row = (pack('n', 2), field(pack('N', 1)), field('abc'));
my $row = join '', @row;
my $done = message('C', "COPY 1\0");

# Messages of a COPY; what the run has to say.
my @cases = (
	[ 'as it should be', [ data("$header$row"), data($trailer), message('c', ''), $done ], qr/^completed 1 0 $/ ],
	[ 'header in a message of its own', [ data($header), data($row), data($trailer), message('c', ''), $done ], qr/^completed 1 0 $/ ],
	[ 'no trailer', [ data("$header$row"), message('c', ''), $done ], qr/^failed 08P01 .*rows end without an end/ ],
	[ 'no rows and no trailer', [ message('c', ''), $done ], qr/^failed 08P01/ ],
	[ 'trailer, but an error', [ data("$header$row"), data($trailer), message('c', ''), problem('XX001', 'a disk broke') ], qr/^failed XX001 a disk broke/ ],
	[ 'an error in place of the end', [ data("$header$row"), problem('XX001', 'a disk broke') ], qr/^failed XX001 a disk broke/ ],
	[ 'rows behind the trailer', [ data("$header$row"), data($trailer), data($row), message('c', ''), $done ], qr/^failed 08P01 .*rows follow the last one/ ],
	[ 'a row cut short', [ data($header . substr($row, 0, -1)), data($trailer), message('c', ''), $done ], qr/^failed 08P01 .*shorter than its values/ ],
	[ 'a row without its lengths', [ data($header . pack('n', 2)), data($trailer), message('c', ''), $done ], qr/^failed 08P01/ ],
	[ 'too few columns', [ data($header . pack('n', 1) . field(pack('N', 1))), data($trailer), message('c', ''), $done ], qr/^failed 08P01 .*another number of columns/ ],
	[ 'too many columns', [ data($header . pack('n', 3) . $row[1] . $row[2] . $row[2]), data($trailer), message('c', ''), $done ], qr/^failed 08P01 .*another number/ ],
	[ 'a length below zero', [ data($header . pack('n', 2) . pack('N', 0xfffffff0) . $row[2]), data($trailer), message('c', ''), $done ], qr/^failed 08P01/ ],
	[ 'a length beyond the row', [ data($header . pack('n', 2) . pack('N', 0x7fffffff) . $row[2]), data($trailer), message('c', ''), $done ], qr/^failed 08P01/ ],
	[ 'a number of five bytes', [ data($header . pack('n', 2) . field('12345') . $row[2]), data($trailer), message('c', ''), $done ], qr/^failed 08P01 .*5 bytes where 4/ ],
	[ 'another signature', [ data("PGCOPX" . substr("$header$row", 6)), data($trailer), message('c', ''), $done ], qr/^failed 08P01 .*none in binary form/ ],
	[ 'flags', [ data("PGCOPY\n\xff\r\n\0" . pack('NN', 1 << 16, 0) . $row), data($trailer), message('c', ''), $done ], qr/^failed 08P01 .*flags/ ],
	[ 'a header that is too long', [ data("PGCOPY\n\xff\r\n\0" . pack('NN', 0, 1000) . $row), data($trailer), message('c', ''), $done ], qr/^failed 08P01/ ],
	[ 'text that is none', [ data("$header$row"), data(pack('n', 2) . field(pack('N', 2)) . field("a\xff")), data($trailer), message('c', ''), $done ], qr/^completed 2 1 22021 invalid byte sequence/ ],
	[ 'text with a zero byte', [ data("$header$row"), data(pack('n', 2) . field(pack('N', 2)) . field("a\0b")), data($trailer), message('c', ''), $done ], qr/^completed 2 1 22021 invalid byte sequence/ ],
	[ 'text that is too long', [ data("$header$row"), data(pack('n', 2) . field(pack('N', 2)) . field('abcdef')), data($trailer), message('c', ''), $done ], qr/^completed 2 1 22001 value too long/ ],
	[ 'no code in an error', [ problem('', "b\xe4d") ], qr/^failed HV000 b\?d/ ],
	[ 'an error of success', [ problem('00000', 'fine') ], qr/^failed HV000 fine/ ],
	[ 'an error of cancel', [ problem('57014', 'stop') ], qr/^failed HV000 stop/ ],
	[ 'a notice in between', [ data("$header$row"), message('N', "SNOTICE\0C00000\0Mhello\0\0"), data($trailer), message('c', ''), $done ], qr/^completed 1 0 $/ ],
	[ 'rows of another kind', [ 'rows' ], qr/^failed (?:08P01|08006)/ ],
	[ 'the connection is closed', [ data("$header$row"), 'close' ], qr/^failed 08006/ ],
	[ 'the connection is closed behind the trailer', [ data("$header$row"), data($trailer), 'close' ], qr/^failed 08006/ ],
	[ 'no message of the protocol', [ data("$header$row"), "\xff\xff\xff\xff\xff\xff" ], qr/^failed 08006/ ],
);

foreach my $case (@cases)
{
	my ($name, $messages, $expected) = @$case;
	my ($port, $pid) = serve($messages);
	$node->safe_psql('postgres', "DROP SERVER IF EXISTS fake CASCADE; CREATE SERVER fake TYPE 'postgres' FOREIGN DATA WRAPPER censync
		OPTIONS (host '127.0.0.1', port '$port', sslmode 'disable', stall_timeout '5'); CREATE USER MAPPING FOR CURRENT_USER SERVER fake OPTIONS (user 'u')");
	$node->safe_psql('postgres', q{SELECT censync_create_sync('fake', 't', 'mirror', server => 'fake', object => 't',
		mappings => '{"id": "id", "v": "v"}', options => '{"mirror_scope": "table", "max_deletes": 1}')});
	my $run = run_sync($node, 'fake', dry_run => 1);
	my $reason = $node->safe_psql('postgres', "SELECT reason_code || ' ' || reason FROM censync.records WHERE run_id = $run->{run_id}");
	my $said = $run->{status} eq 'completed' ? "completed $run->{records_read} $run->{records_invalid} $reason" : "failed $run->{error_code} $run->{error_message}";
	like($said, $expected, $name);
	is(table_state($node, 't'), $before, "$name: the destination is as it was");
	$node->safe_psql('postgres', q{SELECT censync_drop_sync('fake')});
	kill 'KILL', $pid;
	waitpid $pid, 0;
}

$node->stop;
done_testing();

sub field
{
	return pack('N', length $_[0]) . $_[0];
}

sub message
{
	my ($type, $content) = @_;
	return $type . pack('N', 4 + length $content) . $content;
}

sub data
{
	return message('d', $_[0]);
}

sub problem
{
	my ($code, $text) = @_;
	return message('E', "SERROR\0VERROR\0C$code\0M$text\0\0");
}

# A process that says so on every COPY; its port.
sub serve
{
	my ($messages) = @_;
	my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die "no socket: $!";
	my $pid = fork;
	die "no process: $!" unless defined $pid;
	return ($listen->sockport, $pid) if $pid;
	while (my $client = $listen->accept)
	{
		eval { talk($client, $messages) };
		close $client;
	}
	POSIX::_exit(0);
}

sub take
{
	my ($client, $n) = @_;
	my $data = '';
	while (length $data < $n)
	{
		sysread($client, $data, $n - length $data, length $data) or die 'gone';
	}
	return $data;
}

sub talk
{
	my ($client, $messages) = @_;
	my $ready = message('Z', 'T');
	take($client, unpack('N', take($client, 4)) - 4);
	syswrite $client, message('R', pack('N', 0)) . message('S', "server_version\00015.0\0") . message('S', "integer_datetimes\0on\0") . message('Z', 'I');
	my $sql = '';
	while (1)
	{
		my ($type, $length) = unpack 'aN', take($client, 5);
		my $content = take($client, $length - 4);
		if ($type eq 'Q') { syswrite $client, message('C', "SET\0") . $ready }
		elsif ($type eq 'P') { $sql = (split /\0/, $content)[1]; syswrite $client, message('1', '') }
		elsif ($type eq 'B') { syswrite $client, message('2', '') }
		elsif ($type eq 'D')
		{
			# int4, varchar(5)
			my $columns = join '', map { "$_->[0]\0" . pack('NnNnNn', 0, 0, $_->[1], 0xffff, $_->[2], 0) } [ 'id', 23, 0xffffffff ], [ 'v', 1043, 9 ];
			syswrite $client, $sql =~ /^COPY/ ? message('n', '') : message('t', pack('n', 0)) x ($content =~ /^S/) . message('T', pack('n', 2) . $columns);
		}
		elsif ($type eq 'E')
		{
			if ($messages->[0] eq 'rows') { syswrite $client, message('D', pack('n', 0)) }
			else { syswrite $client, message('H', pack('Cnnn', 1, 2, 1, 1)) if $messages->[0] !~ /^E/ }
			foreach my $text (@$messages)
			{
				return if $text eq 'close';
				syswrite $client, $text unless $text eq 'rows';
			}
		}
		elsif ($type eq 'S') { syswrite $client, $ready }
		elsif ($type eq 'X') { return }
	}
}
