
=pod

=head1 NAME

CensyncMysql - a MySQL server of a test's own, where CensyncMariadb would start MariaDB

=head1 SYNOPSIS

  CENSYNC_MYSQL_ROOT=/a/system/with/mysql-server-core

=head1 DESCRIPTION

CensyncMariadb->new returns one of these when the variable is set.  The server's program runs
where we are, with the libraries of that system: nothing is changed in it, and no root is needed.

=cut

package CensyncMysql;

use strict;
use warnings;

use parent -norequire, 'CensyncMariadb';

use PostgreSQL::Test::Utils;

sub product { return 'MySQL' }

# MySQL knows no CREATE OR REPLACE TABLE.
sub sql
{
	my ($self, $statements) = @_;

	$statements =~ s/CREATE OR REPLACE TABLE (\S+)/DROP TABLE IF EXISTS $1; CREATE TABLE $1/g;
	return $self->SUPER::sql($statements);
}

# Views with the names of MariaDB's sequences.  The numbers are in a database of their own.
sub provide_sequences
{
	my ($self, @numbers) = @_;

	$self->sql(q{CREATE DATABASE numbers; CREATE TABLE numbers.digit AS SELECT column_0 AS d FROM
			(VALUES ROW(0), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6), ROW(7), ROW(8), ROW(9)) v;
		CREATE TABLE numbers.number (seq int unsigned PRIMARY KEY);
		INSERT INTO numbers.number SELECT 1 + a.d + 10 * b.d + 100 * c.d + 1000 * d.d + 10000 * e.d + 100000 * f.d
			FROM numbers.digit a, numbers.digit b, numbers.digit c, numbers.digit d, numbers.digit e, numbers.digit f});
	$self->sql("CREATE VIEW shop.seq_1_to_$_ AS SELECT seq FROM numbers.number WHERE seq <= $_") foreach @numbers;
	return;
}

sub _install
{
	my ($self) = @_;
	my $program = join ' ', $self->_program, '--initialize-insecure';

	system_or_bail('sh', '-c', "$program > $self->{directory}/install.log 2>&1");
	return;
}

# Its loader is that system's, too.
sub _program
{
	my ($self) = @_;
	my $root = $ENV{CENSYNC_MYSQL_ROOT};
	my ($libc) = glob("$root/usr/lib/*/libc.so.6");
	my ($loader) = glob("$root/usr/lib*/ld-linux*.so.*");

	$libc =~ s/\/libc\.so\.6$//;
	return ($loader, '--library-path', $libc, "$root/usr/sbin/mysqld", '--no-defaults', "--basedir=$root/usr",
		"--lc-messages-dir=$root/usr/share/mysql", "--character-sets-dir=$root/usr/share/mysql/charsets",
		"--plugin-dir=$root/usr/lib/mysql/plugin", "--datadir=$self->{directory}/data", '--mysqlx=OFF',
		'--secure-file-priv=NULL', '--skip-log-bin');
}

1;
