
=pod

=head1 NAME

CensyncGoogle - what the tests of BigQuery and Google Sheets share

=head1 SYNOPSIS

  my $google = new_google($http);           # a service account whose key the fake server knows
  create_google_server($node, 'bq', $http, type => 'bigquery', mapping => $google->{mapping});

=cut

package CensyncGoogle;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP;
use PostgreSQL::Test::Utils;
use CensyncTest;

our @EXPORT = qw(new_google create_google_server bigquery_all_types error_of secrets_shown);

=pod

=over

=item new_google(http)

Makes a service account's key and tells the fake server the public half.  A hash: key (JSON text), pem,
mapping (options of a user mapping), secrets (what nothing may show).

=cut

sub new_google
{
	my ($http) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir('google');
	run_log([ 'openssl', 'genpkey', '-quiet', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', "$directory/key" ])
	  or run_log([ 'openssl', 'genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', "$directory/key" ]);
	run_log([ 'openssl', 'pkey', '-in', "$directory/key", '-pubout', '-out', "$directory/public" ]);
	my $pem = slurp_file("$directory/key");
	my $key = JSON::PP->new->canonical->encode(
		{ type => 'service_account', project_id => 'acme', private_key_id => 'key-1', private_key => $pem,
			client_email => 'etl@acme.iam.gserviceaccount.com', token_uri => $http->url('/google/token') });
	$http->put('google.pem', slurp_file("$directory/public"), 'text/plain');
	my @lines = grep { !/-----/ } split /\n/, $pem;
	return { key => $key, pem => $pem, mapping => { service_account_key => $key }, secrets => [ $lines[1], $lines[8], 'given-4cc3ss', 'at-1.~' ] };
}

=item create_google_server(node, name, http, options)

As create_server, for type (bigquery or google_sheets) with the fake server as base_url.

=cut

sub create_google_server
{
	my ($node, $name, $http, %options) = @_;
	my $path = $options{type} eq 'bigquery' ? '/bigquery/v2' : '/v4/spreadsheets';
	create_server($node, $name, $http, url => undef, base_url => $http->url($path), %options);
	return;
}

=item bigquery_all_types()

Schema and rows, as JSON, of a result with every type, and null: those of the service's own documents.

=cut

sub bigquery_all_types
{
	my $schema = <<'JSON';
{"fields":[
  {"name":"i","type":"INTEGER","mode":"NULLABLE"},{"name":"f","type":"FLOAT","mode":"NULLABLE"},
  {"name":"n","type":"NUMERIC","mode":"NULLABLE"},{"name":"bn","type":"BIGNUMERIC","mode":"NULLABLE"},
  {"name":"b","type":"BOOLEAN","mode":"NULLABLE"},{"name":"s","type":"STRING","mode":"NULLABLE"},
  {"name":"by","type":"BYTES","mode":"NULLABLE"},{"name":"d","type":"DATE","mode":"NULLABLE"},
  {"name":"t","type":"TIME","mode":"NULLABLE"},{"name":"dt","type":"DATETIME","mode":"NULLABLE"},
  {"name":"ts","type":"TIMESTAMP","mode":"NULLABLE"},{"name":"j","type":"JSON","mode":"NULLABLE"},
  {"name":"g","type":"GEOGRAPHY","mode":"NULLABLE"},{"name":"iv","type":"INTERVAL","mode":"NULLABLE"},
  {"name":"r","type":"RANGE","mode":"NULLABLE","rangeElementType":{"type":"DATE"}},
  {"name":"arr","type":"INTEGER","mode":"REPEATED"},
  {"name":"st","type":"RECORD","mode":"NULLABLE","fields":[{"name":"a","type":"STRING","mode":"NULLABLE"},{"name":"b","type":"TIMESTAMP","mode":"NULLABLE"}]},
  {"name":"items","type":"RECORD","mode":"REPEATED","fields":[{"name":"sku","type":"STRING","mode":"NULLABLE"},{"name":"tags","type":"STRING","mode":"REPEATED"}]}]}
JSON
	my $rows = <<'JSON';
[
  {"f":[{"v":"-9223372036854775808"},{"v":"-Infinity"},{"v":"12345678901234567890123456789.123456789"},{"v":"0.00000000000000000000000000000000000001"},
   {"v":"true"},{"v":"h\u00e9llo\n\"q\""},{"v":"3q2+7w=="},{"v":"2024-01-02"},{"v":"12:34:56.789000"},{"v":"2024-01-02T03:04:05"},
   {"v":"1704164645123456"},{"v":"null"},{"v":"POINT(1 2)"},{"v":"1-2 3 4:5:6.789"},{"v":"[2024-01-01, UNBOUNDED)"},
   {"v":[{"v":"1"},{"v":"2"}]},{"v":{"f":[{"v":"x"},{"v":"-1"}]}},
   {"v":[{"v":{"f":[{"v":"A1"},{"v":[{"v":"red"},{"v":"big"}]}]}},{"v":{"f":[{"v":null},{"v":[]}]}}]}]},
  {"f":[{"v":null},{"v":null},{"v":null},{"v":null},{"v":null},{"v":null},{"v":null},{"v":null},{"v":null},{"v":null},{"v":null},{"v":null},
   {"v":null},{"v":null},{"v":null},{"v":[]},{"v":null},{"v":[]}]}]
JSON
	return ($schema, $rows);
}

=item error_of(node, sql)

What psql writes to stderr, with SQLSTATEs.

=cut

sub error_of
{
	my ($node, $sql) = @_;
	my (undef, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	return $err;
}

=item secrets_shown(node, secrets)

Where any of the secrets can be seen: the server's log, pg_stat_activity, runs and records; a list.

=back

=cut

sub secrets_shown
{
	my ($node, @secrets) = @_;
	my %places = (
		log      => slurp_file($node->logfile),
		activity => $node->safe_psql('postgres', 'SELECT * FROM pg_stat_activity'),
		runs     => $node->safe_psql('postgres', 'SELECT * FROM censync.runs'),
		records  => $node->safe_psql('postgres', 'SELECT * FROM censync.records'));
	my @found;
	foreach my $place (sort keys %places)
	{
		# Statements that set them are the test's own.
		my $text = join "\n", grep { !/statement: |CREATE USER MAPPING/ } split /\n/, $places{$place};
		push @found, map { index($text, $_) >= 0 ? "$place: $_" : () } @secrets;
	}
	return @found;
}

1;
