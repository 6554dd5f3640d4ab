
=pod

=head1 NAME

CensyncRemote - a second PostgreSQL as a source

=head1 SYNOPSIS

  my $remote = new_remote('origin');
  create_remote_server($node, 'origin', $remote);

=cut

package CensyncRemote;

use strict;
use warnings;

use CensyncTest;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(new_remote certificate_of create_remote_server is_quiet $remote_password);

our $remote_password = q{it's a \secret};

=pod

=over

=item new_remote(name, extra configuration lines)

A started cluster on 127.0.0.1 with TLS, whose certificate is for localhost.  Role reader has to give
$remote_password there (SCRAM); role trusted is let in without; local connections are trusted.

=cut

sub new_remote
{
	my ($name, $conf) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	system_or_bail('openssl', 'req', '-new', '-x509', '-days', '30', '-nodes', '-subj', '/CN=localhost', '-addext',
		'subjectAltName=DNS:localhost', '-keyout', $node->data_dir . '/server.key', '-out', certificate_of($node));
	chmod 0600, $node->data_dir . '/server.key';
	$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\nssl = on\n" . ($conf // ''));
	unlink $node->data_dir . '/pg_hba.conf';
	$node->append_conf('pg_hba.conf', <<'HBA');
local all all trust
hostssl all trusted 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
HBA
	$node->start;
	$node->safe_psql('postgres',
		'CREATE ROLE reader LOGIN PASSWORD ' . sql_literal($remote_password) . '; CREATE ROLE trusted LOGIN;'
		  . 'GRANT pg_read_all_data TO reader, trusted');
	return $node;
}

=pod

=item certificate_of(remote)

The file of its certificate, which is its own authority.

=cut

sub certificate_of
{
	return $_[0]->data_dir . '/server.crt';
}

=pod

=item create_remote_server(node, name, remote, options)

A server and the current user's mapping.  Options: type (postgres); mapping => { options } in place of
reader's; role => whose mapping; the others are options of the server.

=cut

sub create_remote_server
{
	my ($node, $name, $remote, %options) = @_;
	my $type = delete $options{type} // 'postgres';
	my $mapping = delete $options{mapping} // { user => 'reader', password => $remote_password };
	my $role = delete $options{role};
	%options = (host => 'localhost', port => $remote->port, database => 'postgres', %options);
	my $list = sub {
		my (%o) = @_;
		my @o = map { "$_ " . sql_literal($o{$_}) } grep { defined $o{$_} } sort keys %o;
		return @o ? 'OPTIONS (' . join(', ', @o) . ')' : '';
	};
	$node->safe_psql('postgres',
		'CREATE SERVER ' . sql_ident($name) . " TYPE '$type' FOREIGN DATA WRAPPER censync " . $list->(%options)
		  . '; CREATE USER MAPPING FOR ' . (defined $role ? sql_ident($role) : 'CURRENT_USER')
		  . ' SERVER ' . sql_ident($name) . ' ' . $list->(%$mapping));
	return;
}

=pod

=item is_quiet(remote)

Nothing of ours is connected there any more; waits a little for what is on its way out.

=back

=cut

sub is_quiet
{
	my ($remote) = @_;
	return wait_for($remote,
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'censync' OR usename IN ('reader', 'trusted')", 10);
}

1;
