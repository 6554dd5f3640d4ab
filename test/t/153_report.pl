# censync_report(): one page that is right, harmless whatever rows contain, and readable, as a browser sees it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_node('main', "log_statement = none\ntimezone = 'UTC'");
my ($chromium) = grep { -x } map { ("$_/chromium", "$_/chromium-browser", "$_/google-chrome") } split /:/, $ENV{PATH};
ok($chromium, 'a browser is there') or BAIL_OUT('chromium is needed');
my $directory = PostgreSQL::Test::Utils::tempdir('browser');
my $pages     = 0;

# What a source, a table or an endpoint may say.
my @hostile = (
	q{<script>document.title='owned'</script>}, q{"><img src=x onerror="document.title='owned'">}, q{</title></style></td></table><h1>owned</h1>},
	q{' onmouseover='document.title=1' x='}, q{&lt;b&gt; &amp; &#60;i&#62;}, q{<!-- <svg/onload=document.title=1> -->}, q{]]> javascript:alert(1) {{7*7}} ${7*7}},
	"\xe2\x80\xaeesrever \xe2\x80\x8f\xd7\x90 mark", "line\nbreak\ttab \x01\x1b[31m bell\x07", "\xf0\x9f\x92\xa5 \xe4\xb8\xad\xe6\x96\x87 \xc3\xa9",
	'unbroken' x 100, q{`backtick` <a href="javascript:document.title='owned'">link</a>});

test_empty();
test_real();
test_hostile();
test_roles();
test_many();
test_encoding();

$node->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub report
{
	my ($role, $dbname) = @_;
	return $node->safe_psql($dbname // 'postgres', ($role ? "SET SESSION AUTHORIZATION $role; " : '') . 'SELECT censync_report()');
}

# Is it one well-formed document of tags and attributes that do nothing?
sub check_markup
{
	my ($html, $name) = @_;
	my %tags = map { $_ => 1 } qw(html head meta title style body header main footer section article h1 h2 h3 p small ul li b table thead
	  tbody tr th td bdi span code time div figure figcaption svg g rect path details summary);
	my %attributes = map { $_ => 1 } qw(lang charset name content http-equiv class id aria-label aria-labelledby aria-hidden role scope datetime title
	  data-label viewBox preserveAspectRatio x y width height d);
	my %empty = map { $_ => 1 } qw(meta);
	my (@open, %ids, @problems);

	like($html, qr/\A<!DOCTYPE html>\n<html lang="en">/, "$name: begins as a document");
	unlike($html, qr/[^\x20-\x7e\n\t]/, "$name: is ASCII");
	my $body = $html =~ s/<style>.*?<\/style>//sr =~ s/\A<!DOCTYPE html>//r;
	while ($body =~ m{<(/?)([A-Za-z0-9]*)((?:\s+[A-Za-z-]+="[^"<>]*")*)\s*(/?)>|(<)}g)
	{
		my ($end, $tag, $given, $closed, $stray) = ($1, $2, $3, $4, $5);
		if (defined $stray) { push @problems, 'a stray <: ' . substr($body, pos($body) - 1, 60); last }
		push @problems, "tag $tag" unless $tags{$tag};
		while ($given =~ /([A-Za-z-]+)="([^"]*)"/g)
		{
			push @problems, "attribute $1" unless $attributes{$1};
			push @problems, "id $2 twice" if $1 eq 'id' && $ids{$2}++;
		}
		if ($end) { push @problems, "</$tag> ends <" . ($open[-1] // 'nothing') . '>' if (pop(@open) // '') ne $tag }
		elsif (!$closed && !$empty{$tag}) { push @open, $tag }
		last if @problems > 5;
	}
	push @problems, "<@open> is left open" if @open;
	is(join('; ', @problems), '', "$name: is well-formed, of harmless tags and attributes");
	is(join(' ', ($html =~ /<style>(.*?)<\/style>/s)[0] =~ m{(url\(|\@import|https?:|expression)}gi), '', "$name: its style loads nothing");
	like($html, qr/Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'/, "$name: and tells the browser so");
	return;
}

# The document as a browser has it after loading a file.
sub browse
{
	my ($html, @options) = @_;
	my $file = "$directory/page" . ++$pages . '.html';
	open(my $handle, '>', $file) or die "cannot write $file: $!";
	print $handle $html;
	close $handle;
	my ($out, $err) = ('', '');
	IPC::Run::run([ $chromium, '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars', '--no-first-run',
			"--user-data-dir=$directory/profile", @options, "file://$file" ], '<', '/dev/null', '>', \$out, '2>', \$err, IPC::Run::timeout(120))
	  or diag $err;
	return $out;
}

# What a script finds that looks at the page, in this width and scheme.  (The page itself lets none run.)
sub probe
{
	my ($html, $width, $dark) = @_;
	my $script = slurp_file("$FindBin::RealBin/../data/probe.js");
	$html =~ s/<meta http-equiv="Content-Security-Policy"[^>]*>// or die 'the page has no policy';
	$html =~ s{</body>}{<script>$script</script></body>} or die 'the page has no end';
	# Windows are never as narrow as a phone, frames are.
	my $text = JSON::PP->new->ascii->allow_nonref->encode($html) =~ s{</}{<\\/}gr;
	my $frame = qq{<!DOCTYPE html><html style="color-scheme: light dark"><body><iframe style="width: ${width}px; height: 900px; border: 0"></iframe><script>
		const frame = document.querySelector('iframe'); frame.onload = () => document.body.append(frame.contentDocument.getElementById('probe')); frame.srcdoc = $text</script>};
	my $dom = browse($frame, '--window-size=1400,1000', '--blink-settings=preferredColorScheme=' . ($dark ? 0 : 1), '--dump-dom');
	my ($found) = $dom =~ m{<pre id="probe">(.*?)</pre>}s;
	ok($found, 'the probe has looked') or return {};
	$found =~ s/&lt;/</g;
	$found =~ s/&gt;/>/g;
	$found =~ s/&amp;/&/g;
	return JSON::PP->new->utf8->decode($found);
}

# In both schemes, on a screen and on a phone.
sub check_look
{
	my ($html, $name) = @_;
	foreach my $width (1200, 390)
	{
		foreach my $dark (0, 1)
		{
			my $title = "$name, " . ($dark ? 'dark' : 'light') . ", $width wide";
			my $seen  = probe($html, $width, $dark);
			is($seen->{dark},  $dark ? 1 : 0, "$title: is what was asked for");
			is($seen->{width}, $width,        "$title: is as wide as asked for");
			cmp_ok($seen->{scroll}, '<=', $width, "$title: needs no scrolling to the side");
			is(join('; ', @{ $seen->{low_contrast} // ['none was looked at'] }), '', "$title: every text can be read");
			is(join('; ', @{ $seen->{overflowing} // [] }), '', "$title: nothing sticks out of its box");
			is(join('; ', @{ $seen->{unnamed} // [] }), '', "$title: drawings and tables have names");
			cmp_ok($seen->{texts}, '>', 3, "$title: there is text");
		}
	}
	return;
}

sub test_empty
{
	my $html = report();
	check_markup($html, 'empty');
	like($html, qr/There are no syncs to be seen/, 'empty: says so');
	check_look($html, 'empty');
	return;
}

sub test_real
{
	sql(q{CREATE TABLE t (id int PRIMARY KEY, name text CHECK (name <> 'bad'));
		SELECT censync_create_sync('good', 't', 'upsert', query => 'SELECT i AS id, ''x'' AS name FROM generate_series(1, 1234) i');
		SELECT censync_create_sync('some bad', 't', 'upsert', query => 'SELECT i::text || CASE WHEN i = 2005 THEN ''x'' ELSE '''' END AS id, CASE WHEN i < 2004 THEN ''bad'' ELSE ''x'' END AS name FROM generate_series(2001, 2010) i',
			options => '{"alert_rejected": 0.1}');
		SELECT censync_create_sync('broken', 't', 'mirror', query => 'SELECT 1/(random() * 0)::int AS id');
		SELECT censync_create_sync('idle', 't', 'update', query => 'SELECT 1 AS id'); SELECT censync_pause('idle')});
	sql(q{SELECT censync_run(s) FROM unnest('{good,good,some bad,broken,broken,broken}'::text[]) s; SELECT censync_run('good', dry_run => true)});
	my $html = report();
	check_markup($html, 'real');
	like($html, qr{<h2>1 of 4 syncs fails</h2>}, 'real: the verdict');
	like($html, qr{<bdi>broken</bdi></h3>.*?3 times in a row; last success <span class="none">never</span>.*?division by zero.*?22012}s, 'real: what fails, since when, and why');
	like($html, qr{Open alerts.*?<bdi>some bad</bdi>.*?rejected.*?<bdi>3 of 10 records of run 3 were rejected</bdi>}s, 'real: the open alert');
	like($html, qr{<bdi>good</bdi><small>upsert of <bdi>public\.t</bdi></small></th><td data-label="State"><span class="status good">fine}, 'real: what is fine');
	like($html, qr{<bdi>idle</bdi>.*?<span class="status quiet">paused}s, 'real: what is paused');
	like($html, qr{data-label="Read">1,234</td>}, 'real: numbers');
	like($html, qr{<title>2 of the last 2 runs completed; the longest took [\d.]+ m?s</title>}, 'real: the last runs of one');
	like($html, qr{<bdi>some bad</bdi></td><td data-label="Status"><bdi>rejected</bdi></td>.*?t_name_check.*?23514.*?data-label="Records">3</td>}s, 'real: rejected records by reason');
	like($html, qr{<bdi>invalid</bdi>.*?22P02.*?<bdi>id</bdi>.*?data-label="Records">1</td>}s, 'real: and invalid ones');
	like($html, qr{id="chart-runs">Runs.*?completed: 3\nfailed: 3}s, 'real: runs over time; dry ones are none');
	like($html, qr{created: 1,240\nupdated: 0\ndeleted: 0}, 'real: rows over time');
	like($html, qr{completed \(dry\)}, 'real: but they are among the latest runs');
	check_look($html, 'real');
	return;
}

sub test_hostile
{
	my $n = 0;
	foreach my $text (@hostile)
	{
		my $in_table = 'h' . ++$n;
		# As names, as values of records, in messages of a source; through the whole of a run.
		sql("CREATE TABLE " . sql_ident("$in_table $text" =~ s/^(.{50}).*/$1/sr) . " (id int PRIMARY KEY, name text); SELECT set_config('x.t', " . sql_literal($text) . ", false);"
			  . "SELECT censync_create_sync('$n ' || current_setting('x.t'), c.oid, 'upsert', query => 'SELECT ' || quote_literal(current_setting('x.t')) || ' AS id UNION SELECT ''7''', options => '{\"max_rejected\": 1}') FROM pg_class c WHERE relname ~ '^$in_table ' AND relkind = 'r';"
			  . "SELECT FROM censync_run('$n ' || current_setting('x.t'))");
		sql("SELECT set_config('x.t', " . sql_literal($text) . ", false); CREATE FUNCTION raise_$n() RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION USING MESSAGE = current_setting(''x.t''), HINT = current_setting(''x.t''); END';"
			  . "SELECT censync_create_sync('raises $n', 't', 'upsert', query => 'SELECT raise_$n() AS id'); SELECT FROM censync_run('raises $n')");
	}
	my $html = report();
	check_markup($html, 'hostile');
	my $dom = browse($html, '--dump-dom');
	like($dom, qr{<title>censync: postgres</title>}, 'hostile: nothing has run');
	unlike($dom, qr/<(?:script|img|a|iframe|i|h1>owned)\b/, 'hostile: nothing has become markup');
	my $seen = probe($html, 1200, 0);
	foreach my $text (grep { !/unbroken|\n/ } @hostile)
	{
		utf8::decode(my $characters = $text);
		cmp_ok(scalar(grep { index($_, $characters) >= 0 } @{ $seen->{isolated} }), '>=', 2, 'hostile: shown as it is: ' . ($text =~ s/[^ -~]/?/gr));
	}
	is(scalar(grep { /[\x00-\x08\x0e-\x1f]/ } @{ $seen->{isolated} }), 0, 'hostile: no control character');
	cmp_ok(scalar(grep { /unbroken\x{2026}$|unbro.*\x{2026}$/ } @{ $seen->{isolated} }), '>=', 1, 'hostile: what is long is cut');
	check_look($html, 'hostile');
	return;
}

sub test_roles
{
	sql(q{CREATE ROLE alice LOGIN; CALL censync_admit('alice', 'owner'); CREATE SCHEMA alice AUTHORIZATION alice; CREATE ROLE stranger LOGIN;
		SET SESSION AUTHORIZATION alice; CREATE TABLE alice.t (id int PRIMARY KEY);
		SELECT censync_create_sync('hers', 'alice.t', 'upsert', query => 'SELECT 1 AS id'); SELECT FROM censync_run('hers')});
	my $html = report('alice');
	check_markup($html, 'roles');
	like($html, qr{<h2>The sync is fine</h2>}, 'roles: she sees her own');
	unlike($html, qr/raises|broken|some bad|unbroken|division/, 'roles: and nothing of others');
	my (undef, undef, $err) = $node->psql('postgres', 'SET SESSION AUTHORIZATION stranger; SELECT censync_report()');
	like($err, qr/permission denied for (?:function|schema)/, 'roles: nobody else');
	# Functions and operators that a caller puts first in his path are not used.
	sql(q{SET SESSION AUTHORIZATION alice; CREATE FUNCTION alice.to_char(timestamptz, text) RETURNS text LANGUAGE sql AS $$ SELECT 'mine' $$});
	unlike($node->safe_psql('postgres', q{SET SESSION AUTHORIZATION alice; SET search_path = alice, pg_catalog, public; SELECT censync_report()}), qr/mine/, 'roles: nor by functions of others');
	return;
}

# 1,000 syncs, 100,000 runs.
sub test_many
{
	sql(q{SELECT censync_create_sync('many ' || i, 't', 'upsert', query => 'SELECT 1 AS id') FROM generate_series(1, 1000) i;
		INSERT INTO censync.run_log (sync_id, sync, owner_oid, status, trigger, dry_run, started_at, finished_at, records_read, records_created, error_code, error_message)
		SELECT s.sync_id, s.name, 10, CASE WHEN h % 50 = 7 THEN 'failed' ELSE 'completed' END, 'schedule', false, t, t + interval '3 s', 1000000, 10,
			CASE WHEN h % 50 = 7 THEN '08006' END, CASE WHEN h % 50 = 7 THEN 'it was lost, ' || h || repeat(' and so on', 1000) END
		FROM censync.syncs s, generate_series(1, 100) h, LATERAL (SELECT now() - h * interval '6 h') x(t) WHERE s.name ~ '^many' ORDER BY t;
		ANALYZE censync.run_log});
	my $start = time;
	my $html  = report();
	cmp_ok(time - $start, '<', soon(10), 'many: is there soon');
	cmp_ok(length($html), '<', 1_000_000, 'many: is not too long');
	like($html, qr/And \d+ more\./, 'many: says what is left out');
	like($html, qr/<g><title>[A-Z][a-z]{2} \d\d\ncompleted: /, 'many: by days');
	check_markup($html, 'many');
	my $seen = probe($html, 390, 1);
	cmp_ok($seen->{scroll}, '<=', 390, 'many: fits');
	return;
}

# The page is the same whatever the database's encoding.
sub test_encoding
{
	local $ENV{PGCLIENTENCODING} = 'UTF8';
	sql(q{CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0});
	$node->safe_psql('latin', qq{CREATE EXTENSION censync; CREATE TABLE t (id int PRIMARY KEY); SELECT censync_create_sync('caf\xc3\xa9', 't', 'upsert', query => 'SELECT 1 AS id')});
	my $html = report(undef, 'latin');
	like($html, qr/<bdi>caf&#233;<\/bdi>/, 'encoding: LATIN1');
	check_markup($html, 'encoding');
	return;
}
