# The same rows by an independent way: syncs made at random from a seed, run round after round while source
# and destination change, and each result compared with a model of the behaviors in plain SQL
# (test/perl/CensyncModel.pm).
#
# CENSYNC_MODEL_SEEDS sets how many seeds are tried, CENSYNC_MODEL_SEED the first of them; test/model does.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

use CensyncModel;
use CensyncTest;

my $seeds = $ENV{CENSYNC_MODEL_SEEDS} || 40;
my $first = $ENV{CENSYNC_MODEL_SEED} || 1;
my %did;
my $directory = PostgreSQL::Test::Utils::tempdir('model');
my $http = start_http(root => $directory);
my $node = CensyncTest::new_node('model', "autovacuum = off", init => [ '--encoding=UTF8', '--locale=C' ]);

$node->safe_psql('postgres', model_setup());
create_server($node, 'files', $http, path => '/files/');
for my $seed ($first .. $first + $seeds - 1)
{
	my $case = model_case($seed);
	my $script = "$directory/seed$seed.sql";

	append_to_file($script, model_script($case, $directory));
	my ($status, $out, $err) = $node->psql('postgres', "\\i $script");

	if ($out =~ /^did: (.*)$/m)
	{
		my $sums = decode_json($1);
		$did{$_} += $sums->{$_} // 0 for keys %$sums;
	}
	next if ok($status == 0 && $out =~ /^agreed$/m && $out !~ /^differs/m, "seed $seed: $case->{label}");
	diag "$out\n$err";
	diag "Again: test/model 1 $seed";
}
note join ', ', map { "$did{$_} $_" } sort keys %did;
# With that many, a kind of outcome that never occurs is one that is not tested.
is(join(', ', grep { !$did{$_} } sort keys %did), '', 'every outcome occurs') if $seeds >= 40;
$node->stop;
done_testing();
