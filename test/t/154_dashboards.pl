# docs/grafana.json and docs/prometheus.yml: their queries work against the views, for a role that may only look.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use CPAN::Meta::YAML;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', 'log_statement = none');
my $docs = "$FindBin::RealBin/../../docs";

sql(q{CREATE TABLE t (id int PRIMARY KEY, name text CHECK (name <> 'bad')); CREATE ROLE watcher LOGIN; CREATE ROLE etl LOGIN; GRANT etl TO watcher;
	CALL censync_admit('etl', 'owner'); CALL censync_admit('watcher', 'viewer'); ALTER TABLE t OWNER TO etl;
	CREATE SERVER hook TYPE 'webhook' FOREIGN DATA WRAPPER censync OPTIONS (url 'https://example.com/'); CREATE USER MAPPING FOR etl SERVER hook; GRANT USAGE ON FOREIGN SERVER hook TO etl;
	SET SESSION AUTHORIZATION etl;
	SELECT censync_create_sync('good', 't', 'upsert', query => 'SELECT i AS id, ''x'' AS name FROM generate_series(1, 5) i');
	SELECT censync_create_sync('it''s bad', 't', 'upsert', query => 'SELECT i AS id, ''bad'' AS name FROM generate_series(11, 12) i UNION SELECT 13, ''x''', options => '{"alert_rejected": 0}');
	SELECT censync_create_sync('broken', 't', 'upsert', query => 'SELECT 1/(random() * 0)::int AS id', options => '{"alert_failed": true}');
	SELECT censync_create_sync('paused', 't', 'upsert', query => 'SELECT 1 AS id'); SELECT censync_pause('paused');
	SELECT censync_run(s) FROM unnest('{good,it''s bad,broken,broken}'::text[]) s; SELECT censync_run('good', dry_run => true)});

test_grafana();
test_prometheus();
test_pages();

$node->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

# Rows as hashes, as the watcher sees them.
sub rows
{
	my ($query) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "SET SESSION AUTHORIZATION watcher; SET timezone = 'Europe/Berlin'; SELECT row_to_json(q) FROM ($query) q");
	return (undef, $err) if $status != 0;
	return ([ map { JSON::PP->new->decode($_) } split /\n/, $out ], '');
}

# As Grafana's PostgreSQL data source does it.
sub expand
{
	my ($query) = @_;
	$query =~ s/\$__timeFilter\(([\w.]+)\)/$1 BETWEEN now() - interval '7 days' AND now() + interval '1 s'/g;
	$query =~ s/\$__timeGroupAlias\((\w+), \$__interval\)/floor(extract(epoch from $1)\/600)*600 AS "time"/g;
	$query =~ s/\$sync/'good','it''s bad','broken','paused'/g;
	return $query;
}

sub test_grafana
{
	my $dashboard = JSON::PP->new->utf8->decode(slurp_file("$docs/grafana.json"));
	my %ids;
	my %title;
	foreach my $panel (@{ $dashboard->{panels} })
	{
		my $title = "grafana: $panel->{title}";
		my $target = $panel->{targets}[0];
		ok(!$ids{ $panel->{id} }++, "$title: has an id");
		is($target->{datasource}{uid}, '${datasource}', "$title: reads what the reader has chosen");
		my $query = expand($target->{rawSql});
		unlike($query, qr/\$/, "$title: uses known macros");
		my ($rows, $err) = rows($query);
		is($err, '', "$title: works") or next;
		cmp_ok(scalar @$rows, '>', 0, "$title: has rows");
		ok(exists $rows->[0]{time}, "$title: has times") if $target->{format} eq 'time_series';
		foreach my $name (map { $_->{matcher}{options} } grep { $panel->{type} eq 'table' } @{ $panel->{fieldConfig}{overrides} })
		{
			ok(exists $rows->[0]{$name}, "$title: has $name");
		}
		$title{ $panel->{title} } = $rows;
	}
	is($title{'Failing syncs'}[0]{failing}, 1, 'grafana: one fails');
	is($title{'Open alerts'}[0]{alerts}, 2, 'grafana: two alerts');
	is($title{'Rows written'}[0]{created} // $title{'Rows written'}[0]{rows}, 6, 'grafana: six rows');
	is(join(' ', map { $_->{name} } @{ $title{Syncs} }), q{broken good it's bad paused}, 'grafana: all syncs, the worst first');
	is($title{'Bad records by reason'}[0]{records}, 2, 'grafana: two bad records');
	is($title{'Failures by reason'}[0]{runs}, 2, 'grafana: two failures, one reason');
	my ($rows, $err) = rows($dashboard->{templating}{list}[1]{query});
	is($err . @$rows, 4, 'grafana: names to choose from');
	($rows, $err) = rows(expand($dashboard->{annotations}{list}[0]{target}{rawSql}));
	is($err . @$rows, 2, 'grafana: annotations');
	return;
}

sub test_prometheus
{
	my $file = CPAN::Meta::YAML->read("$docs/prometheus.yml")->[0];
	my %query = map { $_->{query_name} => $_->{query} } @{ $file->{queries} };
	my (%value, %used);
	foreach my $metric (@{ $file->{metrics} })
	{
		my $name = $metric->{metric_name};
		like($name, qr/^censync_[a-z_]+$/, "prometheus: $name has a good name");
		$used{ $metric->{query_ref} }++;
		my ($rows, $err) = rows($query{ $metric->{query_ref} });
		is($err, '', "prometheus: $name: works") or next;
		my @labels = split /\s*,\s*/, $metric->{key_labels} =~ tr/[]//dr;
		my ($column) = $metric->{values} =~ tr/[]//dr;
		my $metric_values = $metric->{values};
		$metric_values =~ tr/[]//d;
		foreach my $row (@$rows)
		{
			my $key = join '/', map { $row->{$_} // 'none' } @labels;
			ok(!exists $value{$name}{$key}, "prometheus: $name\{$key} is one");
			like($row->{$metric_values} // 'nothing', qr/^\d+(?:\.\d+)?$/, "prometheus: $name\{$key} is a number");
			$value{$name}{$key} = $row->{$metric_values};
		}
	}
	is(join(' ', sort keys %used), join(' ', sort keys %query), 'prometheus: every query is used');
	is($value{censync_sync_up}{broken} . $value{censync_sync_up}{good}, '01', 'prometheus: what is up');
	is($value{censync_sync_consecutive_failures}{broken}, 2, 'prometheus: failures in a row');
	cmp_ok($value{censync_sync_last_success_timestamp_seconds}{good}, '>', time - 600, 'prometheus: when it was well');
	is($value{censync_sync_last_success_timestamp_seconds}{broken}, 0, 'prometheus: never');
	is($value{censync_records}{'good/read'}, 5, 'prometheus: records; of no dry run');
	is($value{censync_records}{"it's bad/rejected"}, 2, 'prometheus: rejected ones');
	is($value{censync_runs}{'broken/failed'}, 2, 'prometheus: runs');
	is($value{censync_alert_raised}{"it's bad/rejected"}, 1, 'prometheus: alerts');
	is($value{censync_deliveries}{'hook/pending'}, 4 * 4 + 2, 'prometheus: events that wait');
	is($value{censync_sync_paused}{paused}, 1, 'prometheus: paused ones');
	return;
}

# What docs/monitoring.md shows in SQL works.
sub test_pages
{
	my $page = slurp_file("$docs/monitoring.md");
	my @queries = grep { /^\s*SELECT/ } map { split /;[ \t]*(?:--[^\n]*)?\n/ } $page =~ /^```sql\n(.*?)^```/msg;
	cmp_ok(scalar @queries, '>', 2, 'monitoring.md: has queries');
	foreach my $query (@queries)
	{
		my ($status, undef, $err) = $node->psql('postgres', "SET SESSION AUTHORIZATION watcher; $query");
		is($err, '', 'monitoring.md: ' . ($query =~ s/\s+/ /gr =~ s/^(.{60}).*/$1/r));
	}
	return;
}
