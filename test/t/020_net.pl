# The network layer on its own: URLs, addresses, redaction, retries, and the HTTP client against
# test/http/raw_server.py.  The module comes from $CENSYNC_UNIT_NET (built in test/unit_net).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use Cwd 'abs_path';
use File::Basename;
use IPC::Run;
use JSON::PP;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $module = $ENV{CENSYNC_UNIT_NET};
plan skip_all => 'CENSYNC_UNIT_NET names no module' if !$module;
$module =~ s/\.so$//;

my $dir = dirname(abs_path(__FILE__));
my $tmp = abs_path(PostgreSQL::Test::Utils::tempdir);
# As ASCII: not every IPC::Run writes other characters alike.
my $json = JSON::PP->new->canonical->ascii;

make_certificates();
my ($server_in, $server_out, $server_err) = ('', '', '');
my $server = IPC::Run::start([ 'python3', "$dir/../http/raw_server.py", '--tls', $tmp ],
	'<', \$server_in, '>', \$server_out, '2>', \$server_err, IPC::Run::timeout(600));
$server->pump until $server_out =~ /\n/;
my %port = map { split /=/ } split ' ', $server_out;
my %origin = map {
	my $scheme = /^(?:tls|tlsother|wrongname|nonotify)$/ ? 'https' : 'http';
	($_ => "$scheme://localhost:$port{$_}")
} keys %port;

my $node = PostgreSQL::Test::Cluster->new('net');
$node->init(extra => ['--encoding=UTF8', '--no-locale']);
$node->append_conf('postgresql.conf', <<"END");
session_preload_libraries = '$module'
censync.allowed_hosts = '127.0.0.0/8, ::1'
censync.http_retries = 0
log_error_verbosity = verbose
END
$node->start;
create_functions();

test_urls();
test_addresses();
test_retry_delay();
test_redaction();
test_tokens();
test_bodies();
test_ends();
test_compression();
test_redirects();
test_secrets();
test_retries();
test_failures();
test_timeouts();
test_cancel();
test_tls();
test_auth();
test_connections();
test_streaming();
test_log();

$node->stop;
close_server();
done_testing();

sub make_certificates
{
	my @quiet = ('-batch', '-newkey', 'rsa:2048', '-nodes', '-days', '30');
	my $run = sub {
		my @command = @_;
		my ($out, $err);
		IPC::Run::run([ 'openssl', @command ], '>', \$out, '2>', \$err)
		  or die "openssl @command: $err";
	};

	for my $ca ('ca', 'otherca')
	{
		$run->('req', '-x509', @quiet, '-subj', "/CN=$ca", '-keyout', "$tmp/$ca.key", '-out', "$tmp/$ca.crt");
	}
	for my $pair ([ 'good', 'localhost' ], [ 'wrong', 'elsewhere.example.com' ])
	{
		my ($name, $host) = @$pair;
		$run->('req', @quiet, '-subj', "/CN=$host", '-keyout', "$tmp/$name.key", '-out', "$tmp/$name.csr");
		append_to_file("$tmp/$name.ext", "subjectAltName=DNS:$host\n");
		$run->('x509', '-req', '-days', '30', '-in', "$tmp/$name.csr", '-CA', "$tmp/ca.crt",
			'-CAkey', "$tmp/ca.key", '-CAcreateserial', '-extfile', "$tmp/$name.ext", '-out', "$tmp/$name.crt");
		append_to_file("$tmp/$name.pem", slurp_file("$tmp/$name.crt") . slurp_file("$tmp/$name.key"));
	}
	return;
}

sub create_functions
{
	my %signature = (
		unit_url_parse => 'text', unit_url_resolve => 'text, text', unit_url_append => 'text, text',
		unit_url_set => 'text, text, text', unit_url_display => 'text', unit_address_kind => 'text',
		unit_redact_secrets => 'text, text[]', unit_redact => 'bytea, int, text[]', unit_http => 'text',
		unit_http_step => '');
	my %other = (
		'unit_url_same_origin(text, text)' => 'bool', 'unit_address_allowed(text, text)' => 'bool',
		'unit_host_allowed(text)' => 'bool', 'unit_retry_delay(int, text, bigint)' => 'bigint',
		'unit_jwt(text, text, text)' => 'text', 'unit_rss()' => 'bigint', 'unit_http_close()' => 'void');
	my $sql = '';

	$other{"$_($signature{$_})"} = 'text' for keys %signature;
	for my $function (sort keys %other)
	{
		my $strict = $function =~ /retry_delay|jwt/ ? '' : 'STRICT';
		my ($name) = split /\(/, $function;
		$sql .= "CREATE FUNCTION $function RETURNS $other{$function} $strict LANGUAGE c AS '$module', '$name';\n";
	}
	$node->safe_psql('postgres', $sql . <<'END');
CREATE FUNCTION unit_try(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  r text; s text; m text; d text; h text; c text;
BEGIN
  EXECUTE query INTO r;
  RETURN 'OK|' || r;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS s = RETURNED_SQLSTATE, m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL,
    h = PG_EXCEPTION_HINT, c = PG_EXCEPTION_CONTEXT;
  -- The statement in the context shows the test's own secrets.
  RETURN concat_ws('|', s, m, d, h, CASE WHEN c NOT LIKE 'SQL%' THEN split_part(c, E'\n', 1) END);
END $$;
END
	return;
}

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub literal { my ($text) = @_; $text =~ s/'/''/g; return "'$text'" }

# Result of an expression, or its error: SQLSTATE|message|detail|hint|context.
sub try
{
	my ($expression, $set) = @_;

	return sql(($set // '') . 'SELECT unit_try(' . literal("SELECT $expression") . ')');
}

# OK|status|url|bytes|md5|header|ms|body, or the error.
sub http
{
	my ($origin, $path, %options) = @_;
	my $set = delete $options{set};

	$options{url} = ($origin{$origin} // $origin) . $path;
	return try('unit_http(' . literal($json->encode(\%options)) . ')', $set);
}

sub http_log
{
	my $text = (split /\|/, http('plain', '/log'), 8)[7];

	return @{ $json->decode($text) };
}

sub test_urls
{
	my @parse = (
		[ 'https://Example.COM', 'https|-|example.com|443|/|-' ],
		[ 'HTTP://u:p@h:8080/a/b?x=1#frag', 'http|u:p|h|8080|/a/b|x=1' ],
		[ 'https://[2001:DB8::1]:444/x', 'https|-|2001:db8::1|444|/x|-' ],
		[ 'https://h?x', 'https|-|h|443|/|x' ],
		[ 'https://h:/p?', 'https|-|h|443|/p|' ],
		[ 'https://allowed@evil/', 'https|allowed|evil|443|/|-' ]);

	is(sql("SELECT unit_url_parse('$_->[0]')"), $_->[1], "parse $_->[0]") for @parse;
	for my $bad ('', 'h', '/p', 'ftp://h/', 'https:/h', 'https://', 'https://:80/', 'https://h:0/',
		'https://h:65536/', 'https://h:1x/', 'https://h h/', "https://h/\ta", 'https://h/a b', 'file:///etc/passwd',
		'https://a%2eb/', 'https://a\\\\@b/', 'https://[::1/', 'https://[x]/', 'https://[::1]x/', "https://b\x{c3}\x{bc}cher.de/",
		'https://h_,x/', 'https://u@/', 'https://h:99999999999999999999/')
	{
		like(try('unit_url_parse(E' . literal($bad) . ')'), qr/^22023\|invalid URL: /, "refused: $bad");
	}
	my @resolve = (
		[ 'g', 'https://a/b/c/g' ], [ './g', 'https://a/b/c/g' ], [ 'g/', 'https://a/b/c/g/' ],
		[ '/g', 'https://a/g' ], [ '//g', 'https://g/' ], [ '?y', 'https://a/b/c/d;p?y' ],
		[ 'g?y', 'https://a/b/c/g?y' ], [ '', 'https://a/b/c/d;p?q' ], [ '#s', 'https://a/b/c/d;p?q' ],
		[ '.', 'https://a/b/c/' ], [ '..', 'https://a/b/' ], [ '../g', 'https://a/b/g' ],
		[ '../../g', 'https://a/g' ], [ '../../../g', 'https://a/g' ], [ '/./g', 'https://a/g' ],
		[ '/../g', 'https://a/g' ], [ 'g.', 'https://a/b/c/g.' ], [ '..g', 'https://a/b/c/..g' ],
		[ './../g', 'https://a/b/g' ], [ 'g;x=1/../y', 'https://a/b/c/y' ], [ 'g?y/./x', 'https://a/b/c/g?y/./x' ],
		[ 'http://o:81/x', 'http://o:81/x' ], [ '..', 'https://a/b/' ], [ 'a:b', undef ], [ 'ftp://x/', undef ],
		[ 'a b', undef ], [ '//', undef ]);
	for (@resolve)
	{
		my ($reference, $expected) = @$_;
		like(try("unit_url_resolve('https://a/b/c/d;p?q', '$reference')"),
			defined $expected ? qr/^OK\|\Q$expected\E$/ : qr/^22023\|/, "resolve $reference");
	}
	my @append = (
		[ 'https://h', 'x', 'https://h/x' ], [ 'https://h/v1', 'x', 'https://h/v1/x' ],
		[ 'https://h/v1/', '/x', 'https://h/v1/x' ], [ 'https://h/v1//', '//evil.com/x', 'https://h/v1/evil.com/x' ],
		[ 'https://h/v1?k=1', 'x?a=2', 'https://h/v1/x?k=1&a=2' ], [ 'https://h/v1', '?a=2', 'https://h/v1?a=2' ],
		[ 'https://h/v1', '', 'https://h/v1' ], [ 'https://h/v1', 'a/../b', undef ], [ 'https://h/v1', '..', undef ],
		[ 'https://h/v1', '%2e%2E/b', undef ], [ 'https://h/v1', '.%2e', undef ], [ 'https://h/v1', 'a..b', 'https://h/v1/a..b' ],
		[ 'https://h/v1', 'https://evil/', undef ], [ 'https://h/v1', 'x:search', 'https://h/v1/x:search' ],
		[ 'https://h/v1', 'a#b', undef ], [ 'https://h/v1', 'a b', undef ], [ 'https://h/v1', 'a\\..\\b', undef ]);
	for (@append)
	{
		my ($base, $object, $expected) = @$_;
		like(try("unit_url_append('$base', '$object')"),
			defined $expected ? qr/^OK\|\Q$expected\E$/ : qr/^22023\|invalid object/, "append $object to $base");
	}
	is(sql("SELECT unit_url_set('https://h/p', 'a b', 'x&y=\x{c3}\x{a9}')"), 'https://h/p?a%20b=x%26y%3D%C3%A9', 'set the first parameter');
	is(sql("SELECT unit_url_set('https://h/p?b=2&a+b=1&c&a%20b=3', 'a b', 'x')"), 'https://h/p?b=2&a%20b=x&c', 'replace a parameter');
	is(sql("SELECT unit_url_set('https://h/p?page=1', 'pag', 'x')"), 'https://h/p?page=1&pag=x', 'a name is compared as a whole');
	is(sql("SELECT unit_url_display('https://u:secret\@h:8443/p\x{c3}\x{a9}?key=secret')"), 'https://h:8443/p%C3%A9', 'display');
	is(sql("SELECT unit_url_display('nonsense')"), '(invalid URL)', 'display of nonsense');
	is(sql("SELECT unit_url_same_origin('https://H/x', 'https://h:443/y'), unit_url_same_origin('http://h', 'https://h'), unit_url_same_origin('https://h:1', 'https://h:2')"),
		't|f|f', 'origins');
	return;
}

sub test_addresses
{
	my %kind = (
		'8.8.8.8' => '', '0.1.2.3' => 'unspecified', '10.255.0.1' => 'private', '100.63.0.1' => '',
		'100.64.0.1' => 'in carrier-grade NAT space', '100.127.255.255' => 'in carrier-grade NAT space', '100.128.0.0' => '',
		'127.0.0.2' => 'loopback', '169.254.169.254' => 'link-local', '172.15.0.1' => '', '172.16.0.1' => 'private',
		'172.31.255.255' => 'private', '172.32.0.1' => '', '192.0.0.1' => 'reserved', '192.0.2.1' => 'in documentation space',
		'192.168.1.1' => 'private', '198.18.0.1' => 'reserved', '198.19.0.1' => 'reserved', '198.20.0.1' => '',
		'224.0.0.1' => 'multicast', '255.255.255.255' => 'reserved', '::' => 'unspecified', '::1' => 'loopback',
		'::ffff:10.0.0.1' => 'private', '::ffff:8.8.8.8' => '', '64:ff9b::8.8.8.8' => '', '64:ff9b::127.0.0.1' => 'loopback',
		'64:ff9b:1::8.8.8.8' => 'reserved', '2002:0a00:0001::1' => 'private', '2002:0808:0808::1' => '', '::8.8.8.8' => 'reserved',
		'fe80::1' => 'link-local', 'febf::1' => 'link-local', 'fc00::1' => 'private', 'fd12::1' => 'private', 'ff02::1' => 'multicast',
		'2001:db8::1' => 'in documentation space', '2001::1' => 'reserved', '2606:4700::1111' => '', '4000::1' => 'reserved', '100::1' => 'reserved');

	is(sql("SELECT unit_address_kind('$_')"), $kind{$_}, "kind of $_") for sort keys %kind;

	# list, host, address, allowed, host may be allowed
	my @allowed = (
		[ '', 'x.com', '8.8.8.8', 't', 't' ], [ '', 'x.com', '127.0.0.1', 'f', 't' ], [ '', '127.0.0.1', '127.0.0.1', 'f', 'f' ],
		[ '', '8.8.8.8', '8.8.8.8', 't', 't' ], [ 'x.com', 'X.com', '8.8.8.8', 't', 't' ], [ 'x.com', 'y.com', '8.8.8.8', 'f', 'f' ],
		[ 'x.com', 'x.com.', '8.8.8.8', 't', 't' ], [ 'x.com', 'ax.com', '8.8.8.8', 'f', 'f' ], [ 'x.com', 'x.com', '169.254.169.254', 'f', 't' ],
		[ '*.x.com', 'a.b.X.com', '8.8.8.8', 't', 't' ], [ '*.x.com', 'x.com', '8.8.8.8', 'f', 'f' ], [ '*.x.com', 'evilx.com', '8.8.8.8', 'f', 'f' ],
		[ '*', 'x.com', '8.8.8.8', 't', 't' ], [ '*', 'x.com', '10.0.0.1', 'f', 't' ], [ '*', '10.0.0.1', '10.0.0.1', 'f', 'f' ],
		[ '10.0.0.0/8', 'x.com', '10.1.2.3', 't', 't' ], [ '10.0.0.0/8', 'x.com', '11.1.2.3', 'f', 't' ], [ '10.0.0.0/8', '10.1.2.3', '::ffff:10.1.2.3', 't', 't' ],
		[ '10.1.2.3', '10.1.2.3', '10.1.2.3', 't', 't' ], [ '10.1.2.3', '10.1.2.4', '10.1.2.4', 'f', 'f' ], [ 'x.com , 10.4.0.0/14', 'y', '10.7.255.255', 't', 't' ],
		[ 'x.com,10.4.0.0/14', 'y', '10.8.0.0', 'f', 't' ], [ 'fd00::/8', 'y', 'fd12::1', 't', 't' ], [ '[::1]', '::1', '::1', 't', 't' ],
		[ '0.0.0.0/0', 'y', '127.0.0.1', 't', 't' ], [ '::/0', 'y', '127.0.0.1', 'f', 't' ], [ '::ffff:10.0.0.0/104', 'y', '10.9.9.9', 't', 't' ]);
	for (@allowed)
	{
		my ($list, $host, $address, $allowed, $may) = @$_;
		is(sql("SET censync.allowed_hosts = '$list'; SELECT unit_address_allowed('$host', '$address'), unit_host_allowed('$host')"),
			"$allowed|$may", "'$list': $host at $address");
	}
	for my $bad ('a,,b', ',', 'a b', 'http://x', '10.0.0.0/33', '10.0.0.0/', '10.0.0/8', '1.2.3', '*x.com', 'x.*', '::1/129', '*.', 'x:80', '-1.2.3.4/8', '[::1', 'a..b', 'x' x 300)
	{
		my ($code, $out, $err) = $node->psql('postgres', "SET censync.allowed_hosts = '$bad'");
		like($err, qr/invalid value for parameter "censync.allowed_hosts"/, "list refused: $bad");
	}
	# A list that was taken unseen, by a server that does not preload the library, must not turn into no list.
	my $may = q{SELECT unit_address_allowed('x.com', '8.8.8.8'), unit_host_allowed('x.com'), unit_host_allowed('8.8.8.8')};
	for my $bad ('https://x.com', 'x.com, x.com:443')
	{
		$node->append_conf('postgresql.conf', "censync.allowed_hosts = '$bad'");
		$node->restart;
		is(sql($may), 'f|f|f', "nothing is allowed by a list that can't be read: $bad");
		is(sql("SET censync.allowed_hosts = 'x.com'; $may"), 't|t|f', '... until there is one');
	}
	$node->append_conf('postgresql.conf', "censync.allowed_hosts = '127.0.0.0/8, ::1'");
	$node->restart;
	is(sql("BEGIN; SET censync.allowed_hosts = '10.0.0.1'; ROLLBACK; SELECT unit_address_allowed('x', '127.0.0.1')"), 't', 'a rolled back list is gone');
	return;
}

sub test_retry_delay
{
	my $now = 784111777;    # Sun, 06 Nov 1994 08:49:37 GMT
	my @cases = (
		[ "'7'", 7000 ], [ "' 7 '", 7000 ], [ "'61'", -1 ], [ "'99999999999999999999999'", -1 ],
		[ "'Sun, 06 Nov 1994 08:49:47 GMT'", 10000 ], [ "'Sunday, 06-Nov-94 08:49:47 GMT'", 10000 ],
		[ "'Sun Nov  6 08:49:47 1994'", 10000 ], [ "'Mon, 07 Nov 1994 08:49:47 GMT'", -1 ]);

	is(sql("SELECT unit_retry_delay(1, $_->[0], $now)"), $_->[1], "Retry-After: $_->[0]") for @cases;
	for my $bad ('0', 'Sun, 06 Nov 1994 08:49:00 GMT', 'soon', '7s', 'Sun, 06 Foo 1994 08:49:47 GMT', 'Sun, 06 Nov 1994 08:49', 'Sun, ', 'Sun', '-5', '1.5', 'Sun, 06 Nov 1994 25:49:47 GMT')
	{
		is(sql("SELECT unit_retry_delay(1, '$bad', $now) BETWEEN 250 AND 500"), 't', "Retry-After: $bad says nothing");
	}
	is(sql("SELECT bool_and(unit_retry_delay(n, NULL, 0) BETWEEN least(250 * 2 ^ (n - 1), 15000) AND least(500 * 2 ^ (n - 1), 30000)) FROM generate_series(1, 60) n"),
		't', 'delays double up to 30 s');
	is(sql("SELECT count(DISTINCT unit_retry_delay(5, NULL, 0)) > 10 FROM generate_series(1, 20)"), 't', 'delays are random');
	return;
}

sub test_redaction
{
	my $secret = 'p@ss/wo"rd+';
	my $base64 = encode_base64("user:$secret", '');
	my @texts = (
		[ 'plain', "a $secret b", 'a *** b' ], [ 'percent', 'a p%40ss%2Fwo%22rd%2B b', 'a *** b' ], [ 'lower percent', 'a p%40ss%2fwo%22rd%2b b', 'a *** b' ],
		[ 'JSON', 'a p@ss\\/wo\\"rd+ b', 'a *** b' ], [ 'JSON unicode', 'a \\u0070@ss/wo\\u0022rd+ b', 'a *** b' ], [ 'twice', "$secret$secret", '******' ],
		[ 'cut', "xyz p\@ss/w", 'xyz ***' ], [ 'cut in an escape', "xyz p\@ss%2", 'xyz ***' ], [ 'not there', 'p@ss/Word', 'p@ss/Word' ]);

	for (@texts)
	{
		my ($name, $text, $expected) = @$_;
		is(sql('SELECT unit_redact(convert_to(' . literal($text) . ", 'UTF8'), 500, ARRAY[" . literal($secret) . '])'), $expected, "redact $name");
	}
	my $masked = sql('SELECT unit_redact(convert_to(' . literal("Basic $base64!") . ", 'UTF8'), 500, ARRAY[" . literal($secret) . '])');
	like($masked, qr/^Basic \S{0,9}\*\*\*/, 'redact inside base64');
	unlike(decode_base64($masked), qr/ss.wo|wo.rd/, 'nothing of it is left');
	is(sql("SELECT unit_redact('secret-token-and-more', 500, ARRAY['secret-token', 'secret-token-and'])"), '***-more', 'the longest secret wins');
	is(sql("SELECT unit_redact('abc', 500, ARRAY['abc', ''])"), 'abc', 'short secrets are left alone');
	is(sql("SELECT unit_redact('\\x61006207c3a9c320ff0a62', 500, '{}')"), "a b \x{c3}\x{a9}? ? b", 'control characters and broken UTF-8');
	is(sql("SELECT unit_redact(convert_to(repeat('\x{c3}\x{a9}', 20), 'UTF8'), 10, '{}')"), "\x{c3}\x{a9}" x 3 . '...', 'cut between characters');
	is(sql("SELECT unit_redact(convert_to('0123456789', 'UTF8'), 10, '{}')"), '0123456789', 'just fits');
	is(sql("SELECT unit_redact_secrets(E'{\"a\": \"tok-en\\\\u0031\", \"b\": 1}\\n', ARRAY['tok-en1'])"), "{\"a\": \"***\", \"b\": 1}\n", 'payloads keep the rest');
	is(sql("SELECT unit_redact_secrets('tok-en', ARRAY['tok-en1'])"), 'tok-en', 'payloads keep a beginning');
	return;
}

# Tokens, held against OpenSSL's own program.
sub test_tokens
{
	my $tmp = PostgreSQL::Test::Utils::tempdir('keys');
	my %kinds = (RS256 => [ 'RSA', 'rsa_keygen_bits:2048', 'sha256' ], ES256 => [ 'EC', 'ec_paramgen_curve:P-256', 'sha256', 32 ],
		ES384 => [ 'EC', 'ec_paramgen_curve:P-384', 'sha384', 48 ], ES512 => [ 'EC', 'ec_paramgen_curve:P-521', 'sha512', 66 ]);
	my $claims = '{"iss":"me","aud":"\u00fc"}';
	my $decode = sub { my ($text) = @_; MIME::Base64::decode_base64url($text) };
	foreach my $kind (sort keys %kinds)
	{
		my ($algorithm, $option, $digest, $half) = @{ $kinds{$kind} };
		run_log([ 'openssl', 'genpkey', '-algorithm', $algorithm, '-pkeyopt', $option, '-out', "$tmp/$kind" ]);
		run_log([ 'openssl', 'pkcs8', '-topk8', '-v2', 'aes256', '-passout', 'pass:s3cret phrase', '-in', "$tmp/$kind", '-out', "$tmp/$kind.locked" ]);
		run_log([ 'openssl', 'pkey', '-in', "$tmp/$kind", '-pubout', '-out', "$tmp/$kind.public" ]);
		my $pem = slurp_file("$tmp/$kind");
		my ($token, $fingerprint) = split / /, sql(sprintf 'SELECT unit_jwt(%s, NULL, %s)', literal($pem), literal($claims));
		my ($header, $body, $signature) = split /\./, $token;
		is($decode->($header), qq({"alg":"$kind","typ":"JWT","kid":"key-1"}), "$kind: header");
		is($decode->($body), $claims, "$kind: claims");
		unlike($token, qr/[=+\/]/, "$kind: base64url without padding");
		$signature = $decode->($signature);
		is(length $signature, $half ? 2 * $half : 256, "$kind: length of the signature");
		write_file("$tmp/text", "$header.$body");
		write_file("$tmp/signature", $half ? der_of($signature) : $signature);
		ok(run_log([ 'openssl', 'dgst', "-$digest", '-verify', "$tmp/$kind.public", '-signature', "$tmp/signature", "$tmp/text" ]), "$kind: OpenSSL verifies it");
		my ($print) = `openssl pkey -in $tmp/$kind -pubout -outform DER | openssl dgst -sha256 -binary | openssl base64`;
		chomp $print;
		is($fingerprint, $print, "$kind: fingerprint");
		my $locked = literal(slurp_file("$tmp/$kind.locked"));
		is((split / /, sql("SELECT unit_jwt($locked, 's3cret phrase', '{}')"))[1], $print, "$kind: encrypted");
		like(sql('SELECT unit_try(' . literal("SELECT unit_jwt($locked, 'wrong', '{}')") . ')'), qr/^22023\|the private key in option "private_key" can't be decrypted/, "$kind: a wrong passphrase");
		like(sql('SELECT unit_try(' . literal("SELECT unit_jwt($locked, NULL, '{}')") . ')'), qr/^22023\|the private key in option "private_key" is encrypted/, "$kind: none");
	}
	my $secret = "-----BEGIN PRIVATE KEY-----\nMIIsecret\n-----END PRIVATE KEY-----\n";
	my $error = sql('SELECT unit_try(' . literal('SELECT unit_jwt(' . literal($secret) . q{, NULL, '{}')}) . ')');
	like($error, qr/^22023\|option "private_key" holds no private key/, 'no key');
	unlike($error, qr/MIIsecret/, '... and not a word of it');
	run_log([ 'openssl', 'genpkey', '-algorithm', 'ED25519', '-out', "$tmp/ed" ]);
	like(sql('SELECT unit_try(' . literal('SELECT unit_jwt(' . literal(slurp_file("$tmp/ed")) . q{, NULL, '{}')}) . ')'), qr/^22023\|.*of a kind that is not supported/, 'another kind of key');
	return;
}

sub write_file
{
	my ($file, $content) = @_;
	open(my $handle, '>:raw', $file) or die "cannot write $file: $!";
	print $handle $content;
	close $handle;
	return;
}

# Two numbers, as OpenSSL's program wants them.
sub der_of
{
	my ($raw) = @_;
	my $integers = join '', map { my $n = s/^\0+(?=.)//sr; $n = "\0$n" if ord($n) >= 0x80; "\x02" . chr(length $n) . $n }
	  unpack sprintf('(a%d)2', length($raw) / 2), $raw;
	my $len = length $integers;
	return "\x30" . ($len < 128 ? chr $len : "\x81" . chr $len) . $integers;
}

sub test_bodies
{
	like(http('plain', '/ok'), qr/^OK\|200\|http.*\|5\|5d41402abc4b2a76b9719d911017c592\|-\|\d+\|hello$/, 'a body');
	like(http('plain', '/echo?x=1', method => 'POST', body => 'a=b', headers => { 'Content-Type' => 'text/x', 'X-Empty' => '' }),
		qr/"body": "a=b".*|"content-type": "text\/x"/, 'a POST');
	my $echo = $json->decode((split /\|/, http('plain', '/echo', headers => { 'X-One' => '1' }), 8)[7]);
	is_deeply($echo->{headers}, { host => "localhost:$port{plain}", 'user-agent' => 'censync/1.0 (gzip)', accept => '*/*', 'accept-encoding' => 'gzip', 'x-one' => '1' },
		'nothing else is sent');
	$echo = $json->decode((split /\|/, http('plain', '/echo', method => 'POST'), 8)[7]);
	is($echo->{headers}{'content-length'}, '0', 'a POST without body');
	like(http('plain', '/echo', method => 'DELETE'), qr/"method": "DELETE"/, 'another method');
	like(http('plain', '/ok', method => 'HEAD'), qr/^OK\|200\|.*\|0\|/, 'HEAD');
	like(http('plain', '/no-content'), qr/^OK\|204\|.*\|0\|/, '204');
	like(http('plain', '/chunked', want => 'X-Late'), qr/\|18\|\w+\|-\|\d+\|hello hello hello $/, 'chunks; trailers are no headers');
	like(http('plain', '/early-hints', want => 'X-One'), qr/\|-\|\d+\|late$/, 'only the last head counts');
	like(http('plain', '/headers', want => 'X-A'), qr/\|first\|/, 'a header');
	like(http('plain', '/headers', want => 'x-folded'), qr/\|one\s+two\|/, 'a folded header');
	like(http('plain', '/ok', headers => { 'X' => "a\r\nX-Evil: 1" }), qr/^22023\|invalid HTTP header/, 'no line break in a header');
	like(http('plain', '/ok', headers => { "X:\nY" => '1' }), qr/^22023\|invalid HTTP header/, 'nor in its name');
	like(http("http://user:password\@localhost:$port{plain}", '/ok'), qr/^22023\|a URL can't contain/, 'no password in a URL');
	like(http('plain', '/ok', allow_http => JSON::PP::false), qr/^42501\|connection to "localhost" without TLS is not allowed/, 'plain HTTP only on request');
	return;
}

sub test_ends
{
	like(http('plain', '/close'), qr/^08P01\|can't tell whether .*end_of_body/, 'a body ended by the connection is not proven');
	like(http('plain', '/close', unproven => JSON::PP::true), qr/^OK\|.*\|until the end$/, '... but accepted on request');
	like(http('plain', '/huge-length', unproven => JSON::PP::false), qr/^08P01\|/, 'a Content-Length too large to count is none');
	like(http('plain', '/short-length'), qr/^OK\|200\|.*\|5\|/, 'a Content-Length too short ends the body');
	like(http('plain', $_), qr/^08006\|connection to "localhost" was lost/, "$_ is an error") for '/cut', '/cut-head', '/chunked-cut', '/chunked-bad', '/rst', '/rst-head', '/silent-close';
	like(http('plain', $_, unproven => JSON::PP::true), qr/^08006\|/, "$_ is one with an accepted unproven end, too") for '/cut', '/chunked-cut', '/rst';
	return;
}

sub test_compression
{
	like(http('plain', '/gzip'), qr/^OK\|200\|.*\|6000\|.*hello/, 'gzip');
	like(http('plain', '/gzip-members'), qr/\|hello world$/, 'several gzip members');
	like(http('plain', '/deflate'), qr/\|deflated$/, 'deflate');
	like(http('plain', '/gzip-empty'), qr/^OK\|200\|.*\|0\|/, 'nothing at all, compressed');
	like(http('plain', $_), qr/^08006\|the answer of .* is cut off/, "$_ is noticed") for '/gzip-cut', '/gzip-no-trailer';
	like(http('plain', $_), qr/^08P01\|can't decompress/, "$_ is noticed") for '/gzip-garbage', '/gzip-not', '/brotli';
	like(http('plain', '/gzip-error'), qr/^HV00L\|.*400\|The answer begins: it broke/, 'a compressed error');
	like(http('plain', '/bomb', max_bytes => 100_000_000), qr/^54000\|.*larger than 100000000 bytes/, 'a gzip bomb is capped');
	like(http('plain', '/lie', max_bytes => 10_000_000), qr/^54000\|/, 'so is an endless body');
	like(http('plain', '/ok', max_bytes => 5), qr/^OK/, 'a body of just the maximum');
	like(http('plain', '/ok', max_bytes => 4), qr/^54000/, 'a body one byte larger');
	return;
}

sub test_redirects
{
	my $to = sub {
		my ($code, $target, %options) = @_;
		my $from = delete $options{from} // 'plain';
		return http($from, "/redirect/$code?$target", %options);
	};

	like($to->(302, '/ok'), qr/^OK\|200\|\Q$origin{plain}\E\/ok\|.*hello$/, 'a relative redirect');
	like($to->(301, "$origin{other}/ok?x=1"), qr/^OK\|200\|\Q$origin{other}\E\/ok\?x=1\|/, 'to another origin');
	like(http('plain', '/hops?5'), qr/arrived$/, 'five in a row');
	like(http('plain', '/hops?6'), qr/^08P01\|can't follow a redirect/, 'six are too many');
	like(http('plain', '/loop'), qr/^08P01\|/, 'a loop ends');
	like(http('plain', '/redirect-nowhere'), qr/^08P01\|.*does not say where/, 'a redirect without Location');
	like($to->(302, $_), qr/^08P01\|can't follow a redirect/, "a redirect to $_") for 'ftp://x/', 'file:///etc/passwd', 'gopher://127.0.0.1/', 'http://', 'http://a%20b/';
	like($to->(302, 'http://169.254.169.254/latest/'), qr/^42501\|connection to "169.254.169.254" is not allowed/, 'to the cloud metadata');
	like($to->(302, 'http://[::ffff:169.254.169.254]/'), qr/^42501\|/, 'to the cloud metadata, mapped');
	like($to->(302, "http://localhost:$port{other}/ok", set => "SET censync.allowed_hosts = '*';"), qr/^42501\|.*address (127.0.0.1|::1) is loopback/, 'no name leads to a private address');
	for my $case ([ 301, 'POST', 'GET', '' ], [ 302, 'POST', 'GET', '' ], [ 303, 'POST', 'GET', '' ], [ 303, 'PUT', 'GET', '' ],
		[ 307, 'POST', 'POST', 'data' ], [ 308, 'POST', 'POST', 'data' ], [ 302, 'PUT', 'PUT', 'data' ])
	{
		my ($code, $method, $new, $body) = @$case;
		my $echo = $json->decode((split /\|/, $to->($code, '/echo', method => $method, body => 'data'), 8)[7]);
		is("$echo->{method} $echo->{body}", "$new $body", "$code turns $method into $new");
	}
	like($to->(307, "$origin{other}/echo", method => 'POST', body => 'data'), qr/^08P01\|.*body to another server/, 'no body for another origin');
	like($to->(302, "$origin{plain}/ok", from => 'tls', ca_file => "$tmp/ca.crt"), qr/^08P01\|.*from https to plain http/, 'https stays https');

	my %secret = (headers => { 'X-Tenant' => 'acme' }, credentials => { Authorization => 'Bearer sesame-open' }, secret_query => 'key=top%20secret');
	http_log();
	my $echo = $json->decode((split /\|/, $to->(302, "$origin{other}/echo", %secret), 8)[7]);
	ok(!exists $echo->{headers}{authorization} && !exists $echo->{headers}{'x-tenant'} && $echo->{query} eq '', 'another origin gets no headers, credentials or key');
	like($json->encode([ http_log() ]->[0]), qr/sesame-open.*key=top%20secret/, '... the first one did');
	$echo = $json->decode((split /\|/, $to->(302, '/echo?a=1', %secret), 8)[7]);
	ok($echo->{headers}{authorization} && $echo->{headers}{'x-tenant'} && $echo->{query} eq 'a=1&key=top%20secret', 'the same origin gets them again');
	unlike($to->(302, '/echo', %secret) =~ /^OK\|200\|([^|]*)/ ? $1 : 'key', qr/key/, 'the key is no part of the URL');
	$to->(302, "$origin{other}/redirect/302?$origin{plain}/echo", %secret);
	my @log = http_log();
	ok(!exists $log[-1]{headers}{authorization}, 'credentials do not come back after a detour');
	return;
}

sub test_secrets
{
	my %auth = (auth => { token => 'very/secret+token' });
	my $all = '';

	$all .= http('plain', '/status/400?very%2Fsecret%2Btoken', %auth);
	$all .= http('plain', '/status/400?very%252Fsecret%252Btoken', %auth);
	like($all, qr/^HV00L.*says \*\*\*.*says \*\*\*/s, 'an echoed token is masked');
	unlike($all, qr/secret.*token/, 'in any form');
	like(http('plain', '/status/400?mine', secrets => ['mine-and-more', 'says']), qr/400 \*\*\* \*\*\*/, 'secrets of the options');
	like(http('plain', '/very-secret', secrets => ['very-secret']), qr/^42704\|"http:\/\/localhost:\d+\/\*\*\*" answered/, 'secrets in the path');
	return;
}

sub test_retries
{
	my $retry = 'SET censync.http_retries = 3;';
	my %again = (repeatable => JSON::PP::true, set => $retry);

	http_log();
	like(http('plain', '/busy-seconds', %again), qr/^OK\|200\|.*\|(1\d\d\d)\|now$/, '429 with seconds');
	my $dated = http('plain', '/busy-date', %again);
	like($dated, qr/\|now$/, '429 with a date');
	cmp_ok((split /\|/, $dated)[6], '>=', 900, '... waits for it');
	like(http('plain', '/unavailable', %again), qr/\|up$/, '503, then 200');
	like(http('plain', '/rst-once', %again), qr/\|second$/, 'a reset before the head');
	like(http('plain', '/rst-once?2'), qr/^08006/, '... not tried again for a request that may not be repeated');
	like(http('plain', '/busy-long', %again), qr/^53400\|.*http_max_wait/, '429 that asks for a day');
	http_log();
	like(http('plain', '/busy-always', %again), qr/^53400\|/, '429 for ever');
	is(scalar(http_log()), 4, '... four attempts');
	http('plain', '/busy-always');
	is(scalar(http_log()), 1, '... one without leave to repeat');
	like(http('plain', '/cut', %again), qr/^08006/, 'a body that was begun');
	is(scalar(http_log()), 1, '... is not asked for again');
	like(http('closed', '/', %again), qr/^08001\|could not connect to "localhost"/, 'a closed port');
	my $limited = http('plain', '/ok', times => 5, rps => 10);
	cmp_ok((split /\|/, $limited)[6], '>=', 390, 'five requests at ten a second take 400 ms');
	cmp_ok((split /\|/, $limited)[6], '<', 600, '... not more');
	return;
}

sub test_failures
{
	my %case = (
		401 => [ '28000', 'authenticate' ], 403 => [ '28000', 'authenticate' ], 404 => [ '42704', 'query' ], 410 => [ '42704', 'query' ],
		429 => [ '53400', 'query' ], 400 => [ 'HV00L', 'query' ], 408 => [ 'HV000', 'query' ], 422 => [ 'HV00L', 'query' ], 500 => [ 'HV000', 'query' ], 503 => [ 'HV000', 'query' ], 304 => [ 'HV00L', 'query' ]);

	for my $status (sort keys %case)
	{
		my ($code, $step) = @{ $case{$status} };
		my $out = step_of("$origin{plain}/status/$status?why");
		like($out, qr/^\Q$code\E\|"http:.*" answered with HTTP status $status.*\n$step$/s, "status $status");
	}
	like(http('plain', '/status/401', accept_unauthorized => JSON::PP::true), qr/^OK\|401/, '401, accepted');
	like(http('plain', '/status/500?' . 'x' x 3000), qr/begins: status 500 says x{400,490}\.\.\.\|/, 'a long answer is cut');
	like(http('plain', '/status/500?a%00b%ff%0Ac'), qr/says a b\? c\|/, 'a dirty one is cleaned');
	like(step_of("http://does-not-exist.invalid/"), qr/^08001\|could not resolve host.*\nresolve$/s, 'an unknown host');
	like(step_of("$origin{closed}/"), qr/^08001\|could not connect.*\nconnect$/s, 'a closed port');
	like(step_of("http://localhost:$port{plain}/ok", "SET censync.allowed_hosts = '10.0.0.1';"), qr/^42501\|connection to "localhost" is not allowed\|Its address (127.0.0.1|::1) is loopback\.\|A superuser can add "(127.0.0.1|::1)".*\nconnect$/s, 'an address that is not allowed');
	like(step_of("http://localhost:$port{plain}/ok", "SET censync.allowed_hosts = 'example.com';"), qr/^42501\|.*Neither.*"localhost".*\nconnect$/s, 'a name that is not allowed');
	like(step_of("$origin{plain}/not-http"), qr/^08P01\|"localhost" did not answer in HTTP.*\nquery$/s, 'not HTTP');
	like(step_of("http://localhost:$port{tls}/"), qr/^08/, 'plain HTTP to a TLS port');
	like(step_of("https://localhost:$port{plain}/"), qr/^08001\|could not establish a TLS connection.*\ntls$/s, 'TLS to a plain port');
	like(step_of("$origin{plain}/$_"), qr/^54000\|the headers .* too large.*\nquery$/s, $_) for 'big-headers', 'many-headers';
	return;
}

sub step_of
{
	my ($url, $set) = @_;
	my $options = $json->encode({ url => $url });

	return sql(($set // '') . 'SELECT unit_try(' . literal('SELECT unit_http(' . literal($options) . ')') . '); SELECT unit_http_step()');
}

sub test_timeouts
{
	my $timed = sub {
		my ($path, $expected, $least, $most, $name, %options) = @_;
		my $start = time;
		like(http($options{origin} // 'plain', $path, %options), $expected, $name);
		my $took = time - $start;
		ok($took > $least && $took < soon($most), sprintf('... after %.2f s', $took));
	};

	$timed->('/stall-head', qr/^08006\|.*sent nothing for 1 s\|.*stall_timeout/, 0.9, 1.6, 'no head', stall_timeout => 1);
	$timed->('/stall-body', qr/^08006\|.*sent nothing for 1 s/, 0.9, 1.6, 'a stalled body', stall_timeout => 1);
	$timed->('/slow-trickle', qr/^08006\|.*sent nothing for 3 s/, 2.9, 8, 'less than a byte a second', stall_timeout => 3);
	$timed->('/trickle', qr/^OK/, 3.5, 6, 'ten bytes a second are no stall', stall_timeout => 1);
	$timed->('/stall-body', qr/^08006\|the request to .* took longer than 1 s\|.*"timeout"/, 0.9, 1.6, 'the whole request', timeout => 1);
	$timed->('/', qr/^08001\|connecting to "localhost" took longer than 1 s\|.*TLS.*connect_timeout/, 0.9, 1.6, 'a mute TLS server', origin => "https://localhost:$port{mute}", connect_timeout => 1);
	$timed->('/stall-error', qr/^HV000\|.*500\|The answer begins: broken because/, 4.5, 6, 'the body of an error that stalls');
	$timed->('/big?32', qr/^OK/, 1, 15, 'a slow reader is no stall', stall_timeout => 1, slow_ms => 150, md5 => JSON::PP::false);
	return;
}

sub test_cancel
{
	for my $path ('/stall-head', '/stall-body', '/trickle')
	{
		my $options = literal($json->encode({ url => "$origin{plain}$path" }));
		my ($code, $out, $err) = $node->psql('postgres', <<"END");
\\set VERBOSITY verbose
\\timing on
SET statement_timeout = 300;
SELECT unit_http($options);
END
		my ($ms) = $out =~ /.*Time: ([\d.]+) ms/s;
		like($err, qr/ERROR:  57014: canceling statement due to statement timeout/, "cancel of $path");
		ok($ms >= 299 && $ms < 400, "... after $ms ms");
		note("cancel of $path: $ms ms");
	}
	my $options = literal($json->encode({ url => "$origin{plain}/busy-always?1", repeatable => JSON::PP::true }));
	my ($code, $out, $err) = $node->psql('postgres', "SET censync.http_retries = 100; SET statement_timeout = 300; SELECT unit_http($options)");
	like($err, qr/canceling statement/, 'cancel between attempts');
	return;
}

sub test_tls
{
	my %ca = (ca_file => "$tmp/ca.crt");

	like(http('tls', '/ok', %ca), qr/^OK\|200.*hello$/, 'a certificate of our own authority');
	like(http('tls', '/ok'), qr/^08001\|the certificate of "localhost" could not be verified\|.*ca_file/, 'an unknown authority');
	like(http('tls', '/ok', ca_file => "$tmp/otherca.crt"), qr/^08001\|the certificate/, 'another authority');
	like(http('wrongname', '/ok', %ca), qr/^08001\|the certificate of "localhost" could not be verified\|.*host name/, 'a certificate for another name');
	like(http('tls', '/ok', ca_file => "$tmp/nothing"), qr/^08001\|could not load the certificates/, 'a missing file');
	like(http('tls', '/close', %ca), qr/^OK\|.*until the end$/, 'a body ended by close_notify is proven');
	my $cut = http('nonotify', '/close', %ca);
	like($cut, qr/^08(P01|006)\|/, 'a body ended without close_notify is not');
	note("without close_notify: $cut");
	like(http('nonotify', '/ok', %ca), qr/^OK/, '... but it may have a length');
	like(http('nonotify', '/chunked-cut', %ca), qr/^08006/, 'chunks cut inside TLS');
	like(http('tls', '/chunked-cut', %ca), qr/^08006/, 'chunks cut with close_notify');
	like(http('tls', '/cut', %ca), qr/^08006/, 'a body cut with close_notify');
	like(http('tls', "/redirect/302?$origin{tlsother}/echo", %ca, credentials => { Authorization => 'Bearer x' }), qr/^OK(?!.*authorization)/, 'TLS to TLS, another origin');
	like(http("https://127.0.0.1:$port{tls}", '/ok', %ca), qr/^08001\|the certificate/, 'an address that is not in the certificate');
	return;
}

sub test_auth
{
	my $echo = sub {
		my $out = http('plain', '/echo', @_);
		return $out =~ /^OK/ ? $json->decode((split /\|/, $out, 8)[7]) : $out;
	};
	my %oauth = (client_id => 'me', client_secret => 'pass word:1', token_url => "$origin{plain}/token");

	is($echo->(auth => { user => 'u', password => "p\x{e9}" })->{headers}{authorization}, 'Basic ' . encode_base64("u:p\x{c3}\x{a9}", ''), 'basic');
	is($echo->(auth => { user => 'u' })->{headers}{authorization}, 'Basic dTo=', 'basic without a password');
	is($echo->(auth => { token => 'tok' })->{headers}{authorization}, 'Bearer tok', 'bearer');
	is($echo->(auth => { api_key => 'key' })->{headers}{'x-api-key'}, 'key', 'API key');
	is($echo->(auth => { api_key => 'key', api_key_header => 'X-K' })->{headers}{'x-k'}, 'key', 'API key in another header');
	is($echo->(auth => { api_key => 'k&y', api_key_parameter => 'the key' })->{query}, 'the%20key=k%26y', 'API key as a parameter');
	for my $bad ({ user => 'u', token => 't' }, { password => 'p' }, { api_key => 'k', api_key_header => 'h', api_key_parameter => 'p' },
		{ api_key_header => 'h' }, { client_id => 'c' }, { client_id => 'c', client_secret => 's' }, { %oauth, client_auth => 'x' }, { %oauth, token_url => 'ftp://x' },
		{ user => 'a:b', password => 'c' }, { token => "a\nb" }, { token => '' }, { api_key => 'k', api_key_header => 'a b' }, { scope => 's' })
	{
		my $out = $echo->(auth => $bad);
		like($out, qr/^22023\|/, 'refused: ' . $json->encode($bad));
		unlike($out, qr/pass word/, '... without a secret');
	}

	http_log();
	is($echo->(auth => { %oauth, scope => 'a b' })->{headers}{authorization}, 'Bearer token-number-1', 'OAuth');
	my ($request) = http_log();
	is("$request->{method} $request->{body}", 'POST grant_type=client_credentials&scope=a%20b', '... the body');
	is($request->{headers}{authorization}, 'Basic ' . encode_base64('me:pass%20word%3A1', ''), '... the client as Basic');
	is($request->{headers}{'content-type'}, 'application/x-www-form-urlencoded', '... the type');
	$echo->(auth => { %oauth, client_auth => 'body' });
	($request) = http_log();
	is($request->{body}, 'grant_type=client_credentials&client_id=me&client_secret=pass%20word%3A1', 'the client in the body');
	ok(!exists $request->{headers}{authorization}, '... and nowhere else');

	$echo->(auth => \%oauth, times => 3);
	is((grep { $_->{target} eq '/token' } http_log()), 1, 'a token is kept');
	$echo->(auth => { %oauth, token_url => "$oauth{token_url}?3600" }, times => 3);
	is((grep { $_->{target} =~ /token/ } http_log()), 1, '... while it is good');
	my $options = $json->encode({ url => "$origin{plain}/ok", keep => JSON::PP::true, auth => { %oauth, token_url => "$oauth{token_url}?1" } });
	sql('SELECT unit_http(' . literal($options) . '), pg_sleep(1.1); SELECT unit_http(' . literal($options) . ')');
	is((grep { $_->{target} =~ /token/ } http_log()), 2, '... and renewed when it expires');

	like(http('plain', '/guarded?2', accept_unauthorized => JSON::PP::true, auth => \%oauth), qr/let in$/, 'a token refused is renewed');
	http_log();
	like(http('plain', '/guarded?9', accept_unauthorized => JSON::PP::true, auth => \%oauth), qr/^28000\|.*401\|The answer begins: no: Bearer \*\*\*\|/, '... once; and is not shown');
	my $refused = http('plain', '/ok', auth => { %oauth, token_url => "$oauth{token_url}?refuse" });
	like($refused, qr/^28000\|the token endpoint refused the client\|.*400: who is Basic \*\*\*/, 'a client refused');
	like($refused, qr/requesting an access token from http:\/\/localhost/, '... says where');
	like(step_of_auth("$oauth{token_url}?refuse", \%oauth), qr/\nauthenticate$/, '... is a failed authentication');
	like(http('plain', '/ok', auth => { %oauth, token_url => "$oauth{token_url}?$_" }), qr/^08P01\|the token endpoint sent no usable access token(?!.*token-number)/, "answer: $_") for 'html', 'injection';
	like(http('plain', '/ok', auth => { %oauth, token_url => "$oauth{token_url}?huge" }), qr/^54000\|/, 'answer: huge');
	like(http('plain', '/ok', auth => { %oauth, token_url => 'http://169.254.169.254/token' }), qr/^42501\|/, 'the rules for hosts hold for the token, too');
	return;
}

sub step_of_auth
{
	my ($url, $oauth) = @_;
	my $options = $json->encode({ url => "$origin{plain}/ok", auth => { %$oauth, token_url => $url } });

	return sql('SELECT unit_try(' . literal('SELECT unit_http(' . literal($options) . ')') . '); SELECT unit_http_step()');
}

sub test_connections
{
	my $connections = sub { (split /\|/, http('plain', '/connections'), 8)[7] };
	my $before = $connections->();

	http('plain', '/ok', times => 20, repeatable => JSON::PP::true);
	is($connections->() - $before, 2, 'one connection for twenty requests');
	$before = $connections->();
	http('tls', '/ok', times => 20, repeatable => JSON::PP::true, ca_file => "$tmp/ca.crt");
	is($connections->() - $before, 2, '... over TLS as well');

	my $options = literal($json->encode({ url => "$origin{plain}/ok", repeatable => JSON::PP::true }));
	my $stall = literal('SELECT unit_http(' . literal($json->encode({ url => "$origin{plain}/stall-body", timeout => 1 })) . ')');
	my $work = "DO \$\$ BEGIN FOR i IN 1..50 LOOP PERFORM unit_http($options); END LOOP; PERFORM unit_try($stall); PERFORM unit_http_close(); END \$\$;";
	my $count = "SELECT count(*) FROM pg_ls_dir('/proc/self/fd');";
	my ($first, $second) = split /\n/, sql("$count$work$count$work$count") =~ s/^\d+\n//r;
	cmp_ok($second - $first, '<', 10, 'no descriptor stays open');
	return;
}

sub test_streaming
{
	my $options = sub { literal($json->encode({ @_, md5 => JSON::PP::false })) };
	my ($plain, $small) = map { $options->(url => "$origin{plain}/big?$_") } 1024, 8;
	my ($tls, $tls_small) = map { $options->(url => "$origin{tls}/big?$_", ca_file => "$tmp/ca.crt") } 512, 8;
	my $bomb = $options->(url => "$origin{plain}/bomb");

	for my $case ([ 'plain', $small, $plain, 1024 ], [ 'TLS', $tls_small, $tls, 512 ], [ 'gzip', $small, $bomb, 2048 ])
	{
		my ($name, $first, $second, $mb) = @$case;
		my @lines = split /\n/, sql("SELECT unit_http($first); SELECT unit_rss(); SELECT unit_http($second); SELECT unit_rss()");
		my (undef, undef, $bytes, undef, undef, $ms) = split /\|/, $lines[2];
		my $growth = $lines[3] - $lines[1];
		is($bytes, $mb * 1024 * 1024, "$mb MB over $name");
		cmp_ok($growth, '<', 16 * 1024, "... in flat memory: $growth kB more");
		note(sprintf '%s: %d MB in %.2f s, %.2f GB/s, %d kB resident, %d kB more than before', $name, $mb, $ms / 1000, $bytes / 1e6 / ($ms || 1), $lines[3], $growth);
	}
	return;
}

# No secret of any test may be in the server's log as part of an error; the statements hold them.
sub test_log
{
	my @lines = grep { /(ERROR|DETAIL|HINT|CONTEXT|WARNING):/ && !/STATEMENT:/ } split /\n/, slurp_file($node->logfile);

	is((grep { /PANIC|server process .* was terminated/ } @lines), 0, 'no backend died');
	is((grep { /:  XX000:/ && !/test/ } @lines), 0, 'every error has a code');
	return;
}

sub close_server
{
	$server->kill_kill;
	return;
}
