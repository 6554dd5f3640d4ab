
=pod

=head1 NAME

CensyncPredicates - random conditions on a foreign table and on a copy of it

=head1 SYNOPSIS

  my %columns = (n => ['int', 1, 2, 3], s => ['text', 'a', 'b']);
  compare_predicates($node, 'far_table', 'copy', \%columns, 250);

=head1 FUNCTIONS

=over

=cut

package CensyncPredicates;

use strict;
use warnings;
use utf8;

use CensyncTest qw(sql_literal);
use Encode qw(encode_utf8);
use Exporter 'import';
use Test::More;

our @EXPORT = qw(any_value compare_predicates compare_each remote_statement);

=pod

=item any_value(columns, name)

One of the values of a column.

=cut

sub any_value
{
	my ($columns, $name) = @_;
	my @values = @{ $columns->{$name} };
	return $values[1 + int rand $#values];
}

=pod

=item compare_predicates(node, foreign table, copy, columns, number)

Tests that as many random predicates find the same rows (by id), and as many under a limit, in a foreign table as in
a local table with the same rows: with constants, and with parameters in a plan that does not know them.  columns are
those that predicates are about, by name: the type here, and values.  The rows are the caller's.

=cut

sub compare_predicates
{
	my ($node, $foreign, $copy, $columns, $number) = @_;
	my ($script, @asked) = ("SET plan_cache_mode = force_generic_plan;\n");
	foreach my $n (1 .. $number)
	{
		my ($where, @parameters) = _predicate($columns);
		my @values = map { (defined $_->[0] ? sql_literal($_->[0]) : 'NULL') . "::$_->[1]" } @parameters;
		(my $constant = $where) =~ s/\$(\d+)/$values[$1 - 1]/g;
		my ($limit, $offset) = (int rand 30, int rand 5);
		my $question = sub {
			my ($table, $condition) = @_;
			return "SELECT $n, md5(coalesce((SELECT string_agg(id::text, ',' ORDER BY id) FROM $table WHERE $condition), '')),"
			  . " (SELECT count(*) FROM $table WHERE $condition),"
			  . " (SELECT count(*) FROM (SELECT id FROM $table WHERE $condition LIMIT $limit OFFSET $offset) s)";
		};
		push @asked, $constant;
		$script .= $question->($_, $constant) . ";\n" foreach $copy, $foreign;
		$script .= @parameters
		  ? "PREPARE q (" . join(', ', map { $_->[1] } @parameters) . ") AS " . $question->($foreign, $where)
		  . ";\nEXECUTE q (" . join(', ', @values) . ");\nDEALLOCATE q;\n"
		  : $question->($foreign, $where) . ";\n";
		$script .= "EXPLAIN (COSTS off) SELECT id FROM $foreign WHERE $constant LIMIT 3;\n";
	}
	_judge($node->safe_psql('postgres', encode_utf8($script)), \@asked);
	return;
}

sub _judge
{
	my ($output, $asked) = @_;
	my $number = @$asked;
	my ($sent, $limited, $found, %answers) = (0, 0, 0);

	foreach my $line (split /\n/, $output)
	{
		push @{ $answers{$1} }, $2 if $line =~ /^(\d+)\|(.*)$/;
		$sent++    if $line =~ /Remote Statement: .* WHERE /;
		$limited++ if $line =~ /Remote Statement: .* LIMIT /;
	}
	my @wrong = grep { my $a = $answers{$_} || []; @$a != 3 || $a->[0] ne $a->[1] || $a->[0] ne $a->[2] } 1 .. $number;
	diag encode_utf8("$_: $asked->[$_ - 1]\n  " . join("\n  ", @{ $answers{$_} || [] })) foreach @wrong;
	is(scalar @wrong, 0, "$number predicates find the same there as in a copy");
	$found += $answers{$_}[0] =~ /\|0\|0$/ ? 0 : 1 foreach keys %answers;
	cmp_ok($found, '>', $number / 4, "$found of them find something");
	cmp_ok($sent, '>', $number / 4, "$sent are sent, in part or whole");
	cmp_ok($limited, '>', 0, "$limited with their limit");
	return;
}

# A predicate, and its parameters: value, type.
sub _predicate
{
	my ($columns) = @_;
	my @parameters;
	my $predicate = join ' AND ', map {
		my $roll = rand;
		$roll < 0.75 ? _atom($columns, \@parameters)
		  : $roll < 0.9 ? '(' . _atom($columns, \@parameters) . ' OR ' . _atom($columns, \@parameters) . ')'
		  : 'NOT (' . _atom($columns, \@parameters) . ')'
	} 1 .. 1 + int rand 3;
	return ($predicate, @parameters);
}

sub _atom
{
	my ($columns, $parameters) = @_;
	my @names = sort keys %$columns;
	my $name  = $names[rand @names];
	my ($type) = @{ $columns->{$name} };
	my $value = sub {
		push @$parameters, [rand() < 0.03 ? undef : any_value($columns, $name), $type =~ s/\(.*//r];
		return '$' . @$parameters;
	};
	my $kind = rand;

	return "$name IS NULL"     if $kind < 0.05;
	return "$name IS NOT NULL" if $kind < 0.1;
	return rand() < 0.5 ? $name : "NOT $name" if $type eq 'boolean' && $kind < 0.5;
	return "$name IN (" . join(', ', map { $value->() } 1 .. 1 + int rand 4) . ')' if $kind < 0.25;
	return "$name NOT IN (" . $value->() . ', ' . $value->() . ')' if $kind < 0.3;
	my $operator = (qw(= = <> < <= > >=))[rand 7];
	my @alike = grep { $_ ne $name && $columns->{$_}[0] =~ /^(?:smallint|int|bigint|numeric)$/ } @names;
	return "$name $operator " . $alike[rand @alike] if @alike && $type =~ /^(?:int|bigint)$/ && $kind < 0.4;
	return $value->() . " $operator $name" if $kind < 0.5;
	return "$name $operator " . $value->();
}

=pod

=item compare_each(node, foreign table, copy, predicates)

Tests that each of the predicates finds the same rows (by column "ID" or id) in both tables, and every fourth as many of
them under a limit.  They are few, for sources that take their time; each should find some rows and miss others.

=cut

sub compare_each
{
	my ($node, $foreign, $copy, @predicates) = @_;
	my $id = $node->safe_psql('postgres', "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = '$copy'::regclass AND lower(attname) = 'id'");
	my $script = join '', map {
		my $n = $_;
		my $where = $predicates[$n];
		my $limited = $n % 4 ? "''" : '(SELECT count(*) FROM (SELECT FROM %1$s WHERE %2$s LIMIT 2) s)';
		map { sprintf "SELECT '$n|' || coalesce((SELECT string_agg($id\::text, ',' ORDER BY $id) FROM %1\$s WHERE %2\$s), '-') || '|' || $limited;\n", $_, $where } $foreign, $copy
	} 0 .. $#predicates;
	my %answers;
	foreach my $line (split /\n/, $node->safe_psql('postgres', encode_utf8($script)))
	{
		push @{ $answers{$1} }, $2 if $line =~ /^(\d+)\|(.*)$/;
	}
	my @wrong = grep { my $a = $answers{$_} || []; @$a != 2 || $a->[0] ne $a->[1] } 0 .. $#predicates;
	diag encode_utf8("$predicates[$_]: there $answers{$_}[0], in the copy $answers{$_}[1]") foreach @wrong;
	is(scalar @wrong, 0, scalar(@predicates) . " predicates find the same in $foreign as in $copy");
	cmp_ok(scalar(grep { ($answers{$_}[1] // '-') !~ /^-/ } 0 .. $#predicates), '>', @predicates / 2, '... most of them something');
	return;
}

=pod

=item remote_statement(node, sql)

What EXPLAIN says that the source is asked.

=cut

sub remote_statement
{
	my ($node, $sql) = @_;
	return $node->safe_psql('postgres', encode_utf8("EXPLAIN (COSTS off) $sql")) =~ /Remote Statement: (.*)/ ? $1 : 'nothing';
}

=pod

=back

=cut

1;
