/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/settings/test-notify.c - who is told what: targets and rules of pair.conf, and every defect with its line. */
#include <locale.h>
#include <string.h>

#include "test-settings.h"

#define M "[mail boss]\nto=boss@example.com\nfrom=pbx@example.com\nserver=mail.example.com\n"
#define M2 "[mail boss]\nto=boss@example.com\nfrom=pbx@example.com\n"
#define S "[sms oncall]\nto=+491700000001\nurl=https://sms.example.com/?to={to}&text={text}\n"
#define S2 "[sms oncall]\nto=+491700000001\n"
#define N "[snmp nms]\nhost=nms.example.com\n"
#define L "[led front]\nled=platform:red:alarm\n"
#define R "[rule r]\nactions=display\n"

static Settings *parse(const char *more, GError **error)
{
	g_autofree char *text = g_strconcat(PAIR, more, NULL);

	return parse_one(DEVICE, text, NULL, error);
}

static Settings *parsed(const char *more)
{
	g_autoptr(GError) error = NULL;
	Settings *settings = parse(more, &error);

	g_assert_no_error(error);
	return settings;
}

/* The sections begin on line 6 of pair.conf. */
static const struct {
	const char *name, *text, *message;
} bad[] = {
	{ "events-keep", "[events]\nkeep=99\n", "pair.conf:7: \"keep\" is a number from 100 to 1000000, not \"99\"" },
	{ "events-days", "[events]\nkeep-days=3651\n", "pair.conf:7: \"keep-days\" is a number from 0 to 3650, *" },

	{ "mail-no-to", "[mail b]\nfrom=a@b\nserver=m\n", "pair.conf:6: section [mail b] needs the key \"to\"" },
	{ "mail-empty-to", "[mail b]\nto=\nfrom=a@b\nserver=m\n", "pair.conf:7: \"to\" has no value" },
	{ "mail-commas-to", "[mail b]\nto=,\nfrom=a@b\nserver=m\n", "pair.conf:7: \"to\" has no value" },
	{ "mail-to", "[mail b]\nto=x@y, boss\nfrom=a@b\nserver=m\n", "pair.conf:7: \"boss\" is no mail address, such as boss@example.com" },
	{ "mail-to-brackets", "[mail b]\nto=<x@y>\nfrom=a@b\nserver=m\n", "pair.conf:7: \"<x@y>\" is no mail address, *" },
	{ "mail-to-two-ats", "[mail b]\nto=x@y@z\nfrom=a@b\nserver=m\n", "pair.conf:7: \"x@y@z\" is no mail address, *" },
	{ "mail-to-option", "[mail b]\nto=-oQ/tmp@x\nfrom=a@b\nserver=m\n", "pair.conf:7: \"-oQ/tmp@x\" is no mail address, *" },
	{ "mail-to-twice", "[mail b]\nto=x@y x@y\nfrom=a@b\nserver=m\n", "pair.conf:7: \"to\" has x@y twice" },
	{ "mail-no-from", "[mail b]\nto=x@y\nserver=m\n", "pair.conf:6: section [mail b] needs the key \"from\"" },
	{ "mail-from", "[mail b]\nto=x@y\nfrom=me\nserver=m\n", "pair.conf:8: \"me\" is no mail address, such as pbx@example.com" },
	{ "mail-no-server", M2, "pair.conf:6: section [mail boss] needs the key \"server\"" },
	{ "mail-server-port", M2 "server=m:0\n", "pair.conf:9: \"server\" is a host, or host:port with a port from 1 to 65535, not \"m:0\"" },
	{ "mail-server-port-large", M2 "server=m:65536\n", "pair.conf:9: \"server\" is a host, or host:port with *" },
	{ "mail-server-rest", M2 "server=[2001:db8::1]x\n", "pair.conf:9: \"server\" is a host, or host:port with *" },
	{ "mail-server-name", M2 "server=-m\n", "pair.conf:9: \"server\" is a host, or host:port, not \"-m\"" },
	{ "mail-server-url", M2 "server=smtp://m\n", "pair.conf:9: \"server\" is a host, or host:port with *" },
	{ "mail-server-bracket", M2 "server=[mail]\n", "pair.conf:9: \"server\" is a host, or host:port, not \"[mail]\"" },
	{ "mail-server-open", M2 "server=[::1\n", "pair.conf:9: \"server\" is a host, or host:port, not \"[::1\"" },
	{ "mail-security", M "security=tls\n", "pair.conf:10: \"security\" is one of starttls, starttls-if-offered, none, not \"tls\"" },
	{ "mail-ca-path", M "ca=../x\n", "pair.conf:10: \"ca\" is letters, *, not \"../x\"" },
	{ "mail-user-empty", M "user=\n", "pair.conf:10: \"user\" has no value" },
	{ "mail-user-clear", M "security=none\nuser=x\n", "pair.conf:11: \"user\" has a password, which \"security=none\" would send in the clear" },
	{ "mail-sendmail-server", M "transport=sendmail\n", "pair.conf:9: \"server\" is for transport=smtp; *" },
	{ "mail-sendmail-ca", M2 "transport=sendmail\nca=x\n", "pair.conf:10: \"ca\" is for transport=smtp; *" },
	{ "mail-per-hour", M "per-hour=0\n", "pair.conf:10: \"per-hour\" is a number from 1 to 100000, not \"0\"" },
	{ "mail-password", M "password=x\n", "pair.conf:10: unknown key \"password\" in section [mail boss]" },
	{ "mail-no-name", "[mail]\n", "pair.conf:6: section [mail] needs a name: [mail NAME]" },
	{ "mail-twice", M M, "pair.conf:10: duplicate section [mail boss]; the first is on line 6" },

	{ "sms-to", "[sms o]\nto=+49x\nurl=https://x/{to}{text}\n", "pair.conf:7: \"+49x\" is no telephone number: digits, with or without \"+\"" },
	{ "sms-to-short", "[sms o]\nto=+1\nurl=https://x/{to}{text}\n", "pair.conf:7: \"+1\" is no telephone number: *" },
	{ "sms-no-url", S2, "pair.conf:6: section [sms oncall] needs the key \"url\"" },
	{ "sms-url-scheme", S2 "url=ftp://x/{to}{text}\n", "pair.conf:8: \"url\" begins with https:// or http://, not *" },
	{ "sms-url-no-host", S2 "url=https:///{to}{text}\n", "pair.conf:8: \"url\": the host stands there as it is, *" },
	{ "sms-url-host-filled", S2 "url=https://{user}.example.com/{to}{text}\n", "pair.conf:8: \"url\": the host stands there as it is, *" },
	{ "sms-url-user", S2 "url=https://a:b@example.com/{to}{text}\n", "pair.conf:8: \"url\": the host stands there as it is, *" },
	{ "sms-url-blank", S2 "url=https://example.com/ {to}{text}\n", "pair.conf:8: \"url\" is printable ASCII without blanks" },
	{ "sms-template", S2 "url=https://x/{to}{txt}\n", "pair.conf:8: \"url\": {txt} is nothing that can be filled in; there are to, text, *" },
	{ "sms-header-template", S "header=X: {token}\n", "pair.conf:9: \"header\": {token} is nothing that can be filled in; *" },
	{ "sms-no-text", S2 "url=https://x/{to}\n", "pair.conf:6: section [sms oncall] needs {text} in \"url\" or \"body\"" },
	{ "sms-no-recipient", S2 "url=https://x/{text}\n", "pair.conf:6: section [sms oncall] needs {to} in \"url\" or \"body\"" },
	{ "sms-header", S "header-2=Bearer x\n", "pair.conf:9: \"header-2\" is a header, \"Name: value\", not \"Bearer x\"" },
	{ "sms-method", S "method=HEAD\n", "pair.conf:9: \"method\" is one of GET, POST, PUT, not \"HEAD\"" },
	{ "sms-get-body", S "body=x\nmethod=GET\n", "pair.conf:10: GET has no body: *" },
	{ "sms-encoding", S "body=x\nbody-encoding=xml\n", "pair.conf:10: \"body-encoding\" is one of form, json, not \"xml\"" },
	{ "sms-encoding-alone", S "body-encoding=json\n", "pair.conf:9: \"body-encoding\" is for a \"body\", and there is none" },
	{ "sms-success", S "success=(2..\n", "pair.conf:9: \"success\" is no regular expression: *" },
	{ "sms-parts", S "max-parts=11\n", "pair.conf:9: \"max-parts\" is a number from 1 to 10, not \"11\"" },
	{ "sms-seven-bit", S "seven-bit=7\n", "pair.conf:9: \"seven-bit\" is true or false, not \"7\"" },

	{ "snmp-no-host", "[snmp n]\n", "pair.conf:6: section [snmp n] needs the key \"host\"" },
	{ "snmp-version", N "version=1\n", "pair.conf:8: \"version\" is one of 2c, 3, not \"1\"" },
	{ "snmp-kind", N "kind=both\n", "pair.conf:8: \"kind\" is one of trap, inform, not \"both\"" },
	{ "snmp-2c-user", N "user=x\n", "pair.conf:8: \"user\" is for version=3; 2c has a community, set with \"understudy secret set snmp.nms\"" },
	{ "snmp-3-no-user", N "version=3\n", "pair.conf:6: section [snmp nms] needs the key \"user\"" },
	{ "snmp-3-user-long", N "version=3\nuser=abcdefghijklmnopqrstuvwxyz0123456\n", "pair.conf:9: \"user\" has at most 32 bytes" },
	{ "snmp-3-auth", N "version=3\nuser=x\nauth=md5\n", "pair.conf:10: \"auth\" is one of sha256, sha, sha224, sha384, sha512, not \"md5\"" },
	{ "snmp-3-priv", N "version=3\nuser=x\npriv=des\n", "pair.conf:10: \"priv\" is one of aes, none, not \"des\"" },
	{ "snmp-community", N "community=public\n", "pair.conf:8: unknown key \"community\" in section [snmp nms]" },

	{ "led-none", "[led f]\n", "pair.conf:6: section [led f] needs the key \"led\"" },
	{ "led-path", "[led f]\nled=../x\n", "pair.conf:7: \"../x\" is no name of a LED, *" },
	{ "led-slash", "[led f]\nled=a/b\n", "pair.conf:7: \"a/b\" is no name of a LED, *" },
	{ "led-twice", L "[led back]\nled=platform:red:alarm\n", "pair.conf:9: platform:red:alarm is already the LED of [led front]" },
	{ "led-pattern", L "priority-3=quick\n", "pair.conf:8: \"priority-3\" is off, on, slow, fast, or an even number of times *, not \"quick\"" },
	{ "led-pattern-odd", L "priority-1=100 100 100\n", "pair.conf:8: \"priority-1\" is off, on, *, not \"100 100 100\"" },
	{ "led-pattern-short", L "priority-1=1 1\n", "pair.conf:8: \"priority-1\" is off, on, *" },
	{ "led-pattern-empty", L "priority-1=\n", "pair.conf:8: \"priority-1\" is off, on, *" },
	{ "led-pattern-long", L "priority-1=50 50 50 50 50 50 50 50 50 50 50 50 50 50 50 50 50 50\n", "pair.conf:8: \"priority-1\" is off, on, *" },

	{ "rule-no-actions", "[rule r]\n", "pair.conf:6: section [rule r] needs the key \"actions\"" },
	{ "rule-actions-empty", "[rule r]\nactions=,\n", "pair.conf:7: \"actions\" has no value" },
	{ "rule-unknown-target", M "[rule r]\nactions=mail:bos\n", "pair.conf:11: \"mail:bos\", but there is no section [mail bos]" },
	{ "rule-other-kind", M "[rule r]\nactions=sms:boss\n", "pair.conf:11: \"sms:boss\", but there is no section [sms boss]" },
	{ "rule-unknown-kind", "[rule r]\nactions=fax:x\n", "pair.conf:7: an action is mail:NAME, sms:NAME, snmp:NAME, led:NAME or display, not \"fax:x\"" },
	{ "rule-no-kind", M "[rule r]\nactions=boss\n", "pair.conf:11: an action is mail:NAME, *, not \"boss\"" },
	{ "rule-display-name", "[rule r]\nactions=display:x\n", "pair.conf:7: an action is *, not \"display:x\"" },
	{ "rule-bare-kind", M "[rule r]\nactions=mail:\n", "pair.conf:11: an action is *, not \"mail:\"" },
	{ "rule-action-twice", "[rule r]\nactions=display display\n", "pair.conf:7: \"actions\" has display twice" },
	{ "rule-priority", R "min-priority=4\n", "pair.conf:8: \"min-priority\" is a number from 1 to 3, not \"4\"" },
	{ "rule-name-empty", R "name=\n", "pair.conf:8: \"name\" has no value" },
	{ "rule-name-class", R "name=[A-Z]*\n", "pair.conf:8: \"name\" is a pattern with \"*\" and \"?\", at most 64 characters, not \"[A-Z]*\"" },
	{ "rule-application-long", R "application=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff12345\n",
	  "pair.conf:8: \"application\" is a pattern with *" },
	{ "rule-to-nobody", R "to=boss@example.com\n", "pair.conf:8: \"boss@example.com\" is nobody whom an action of this rule can reach" },
	{ "rule-to-number", M "[rule r]\nactions=mail:boss\nto=+491700\n", "pair.conf:12: \"+491700\" is nobody whom *" },
	{ "rule-to-lacks", M S "[rule r]\nactions=mail:boss sms:oncall\nto=x@y\n", "pair.conf:15: \"to\" has nobody for the sms of this rule" },
	{ "rule-recovery", R "recovery=yes\n", "pair.conf:8: \"recovery\" is true or false, not \"yes\"" },
	{ "rule-fold", R "fold-s=86401\n", "pair.conf:8: \"fold-s\" is a number from 0 to 86400, *" },
	{ "rule-flap", R "flap=6\n", "pair.conf:8: \"flap\" is none, or CHANGES/SECONDS with 3 to 100 changes in 10 to 86400 seconds, not \"6\"" },
	{ "rule-flap-few", R "flap=2/60\n", "pair.conf:8: \"flap\" is none, *" },
	{ "rule-flap-short", R "flap=6/9\n", "pair.conf:8: \"flap\" is none, *" },
	{ "rule-flap-words", R "flap=a/b\n", "pair.conf:8: \"flap\" is none, *" },
};

static void test_bad(gconstpointer data)
{
	gsize i = GPOINTER_TO_SIZE(data);
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) settings = parse(bad[i].text, &error);

	if (settings)
		g_error("%s was taken", bad[i].text);
	g_assert_error(error, SETTINGS_ERROR, SETTINGS_ERROR_BAD);
	if (!g_pattern_match_simple(bad[i].message, error->message))
		g_error("said    %s\nwant    %s", error->message, bad[i].message);
}

static void assert_key(const Settings *settings, const char *id, const char *key, const char *value)
{
	const SettingsTarget *target = settings_target(settings, id);

	g_assert_nonnull(target);
	g_assert_cmpstr(settings_target_key(target, key), ==, value);
}

static void test_nothing(void)
{
	g_autoptr(Settings) pair = parsed(""), single = NULL;
	g_autoptr(GError) error = NULL;

	single = parse_one(DEVICE, NULL, NULL, &error);
	g_assert_no_error(error);
	for (guint i = 0; i < 2; i++) {
		const Settings *settings = i ? single : pair;

		g_assert_cmpuint(settings->targets->len, ==, 1);
		g_assert_nonnull(settings_target(settings, "display"));
		g_assert_null(settings_target(settings, "mail:boss"));
		g_assert_cmpuint(settings->rules->len, ==, 0);
		g_assert_cmpuint(settings->events_keep, ==, 10000);
		g_assert_cmpuint(settings->events_keep_days, ==, 0);
	}
}

static void test_mail(void)
{
	g_autoptr(Settings) s = parsed(M "[mail two]\nto=a@b,c@d\nfrom=x@y\ntransport=sendmail\nper-hour=5\n"
					 "[mail six]\nto=a@b\nfrom=x@y\nserver=2001:db8::1\nca=own\nuser=Me\n"
					 "[mail six25]\nto=a@b\nfrom=x@y\nserver=[2001:db8::1]:25\nsecurity=none\n");
	const SettingsTarget *boss = settings_target(s, "mail:boss"), *two = settings_target(s, "mail:two");

	g_assert_cmpint(boss->kind, ==, SETTINGS_TARGET_MAIL);
	g_assert_cmpstr(boss->name, ==, "boss");
	g_assert_cmpstr(boss->to[0], ==, "boss@example.com");
	g_assert_null(boss->to[1]);
	g_assert_cmpuint(boss->per_hour, ==, 30);
	assert_key(s, "mail:boss", "server", "mail.example.com:587");
	assert_key(s, "mail:boss", "security", "starttls");
	assert_key(s, "mail:boss", "transport", "smtp");
	assert_key(s, "mail:boss", "from", "pbx@example.com");
	assert_key(s, "mail:boss", "user", NULL);
	g_assert_cmpuint(g_strv_length(two->to), ==, 2);
	g_assert_cmpuint(two->per_hour, ==, 5);
	assert_key(s, "mail:two", "transport", "sendmail");
	assert_key(s, "mail:two", "server", NULL);
	assert_key(s, "mail:six", "server", "[2001:db8::1]:587");
	assert_key(s, "mail:six", "ca", "own");
	assert_key(s, "mail:six", "user", "Me");
	assert_key(s, "mail:six25", "server", "[2001:db8::1]:25");
}

static void test_sms(void)
{
	g_autoptr(Settings) s = parsed(S "[sms json]\nto=0301234567\nurl=http://192.0.2.1:8080/v1\nheader=Content-Type: application/json\n"
					 "header-2=Authorization: Bearer {password}\nbody={\"to\":\"{to}\",\"text\":\"{text}\",\"a\":{}}\n"
					 "body-encoding=json\nsuccess=\"queued\"\n");

	assert_key(s, "sms:oncall", "method", "GET");
	assert_key(s, "sms:oncall", "url", "https://sms.example.com/?to={to}&text={text}");
	assert_key(s, "sms:oncall", "max-parts", "3");
	assert_key(s, "sms:oncall", "seven-bit", "false");
	assert_key(s, "sms:oncall", "body", NULL);
	assert_key(s, "sms:oncall", "body-encoding", NULL);
	assert_key(s, "sms:json", "method", "POST");
	assert_key(s, "sms:json", "header-2", "Authorization: Bearer {password}");
	assert_key(s, "sms:json", "body", "{\"to\":\"{to}\",\"text\":\"{text}\",\"a\":{}}");
	assert_key(s, "sms:json", "success", "\"queued\"");
	g_assert_cmpuint(settings_target(s, "sms:json")->per_hour, ==, 20);
}

static void test_snmp_and_led(void)
{
	g_autoptr(Settings) s = parsed(N "[snmp three]\nhost=192.0.2.5:1162\nversion=3\nuser=u\nkind=inform\n" L "priority-3=100, 100 100 700\n");

	assert_key(s, "snmp:nms", "host", "nms.example.com:162");
	assert_key(s, "snmp:nms", "version", "2c");
	assert_key(s, "snmp:nms", "auth", NULL);
	assert_key(s, "snmp:three", "host", "192.0.2.5:1162");
	assert_key(s, "snmp:three", "auth", "sha256");
	assert_key(s, "snmp:three", "priv", "aes");
	assert_key(s, "snmp:three", "kind", "inform");
	assert_key(s, "led:front", "led", "platform:red:alarm");
	assert_key(s, "led:front", "priority-1", "off");
	assert_key(s, "led:front", "priority-2", "slow");
	assert_key(s, "led:front", "priority-3", "100, 100 100 700");
}

static void test_led_patterns(void)
{
	static const struct {
		const char *text;
		gsize n;
		guint first;
	} patterns[] = { { "off", 0, 0 }, { "on", 1, 1000 }, { "slow", 2, 500 }, { "fast", 2, 100 }, { "20 60000", 2, 20 }, { " 30,40; 50 60 ", 4, 30 } };

	for (gsize i = 0; i < G_N_ELEMENTS(patterns); i++) {
		guint ms[SETTINGS_LED_TIMES] = { 0 };
		g_autofree char *reason = NULL;
		gsize n;

		g_assert_true(settings_led_pattern(patterns[i].text, ms, &n, &reason));
		g_assert_cmpuint(n, ==, patterns[i].n);
		g_assert_cmpuint(ms[0], ==, patterns[i].first);
	}
}

static void test_rules(void)
{
	g_autoptr(Settings) s = parsed("[rule z]\napplication=SIP-*; SIP\nname=A B*,?\nmin-priority=2\nactions=mail:boss,display sms:oncall\n"
				       "to=+49170 x@y 123456\nrecovery=true\nfold-s=60\nflap=6/600\n" M S "[rule a]\nactions=display\nflap=none\n");
	const SettingsRule *z = s->rules->pdata[0], *a = s->rules->pdata[1];
	g_auto(GStrv) mails = settings_recipients(SETTINGS_TARGET_MAIL, (const char *const *)z->to);
	g_auto(GStrv) numbers = settings_recipients(SETTINGS_TARGET_SMS, (const char *const *)z->to);
	g_auto(GStrv) none = settings_recipients(SETTINGS_TARGET_SNMP, (const char *const *)z->to);

	g_assert_cmpuint(s->rules->len, ==, 2);
	g_assert_cmpstr(z->name, ==, "z");
	g_assert_cmpuint(g_strv_length(z->applications), ==, 2);
	g_assert_cmpstr(z->names[0], ==, "A B*");
	g_assert_cmpuint(z->targets->len, ==, 3);
	g_assert_true(z->targets->pdata[0] == settings_target(s, "mail:boss"));
	g_assert_true(z->targets->pdata[1] == settings_target(s, "display"));
	g_assert_true(z->recovery);
	g_assert_cmpuint(z->fold_s, ==, 60);
	g_assert_cmpuint(z->flap_changes, ==, 6);
	g_assert_cmpuint(z->flap_s, ==, 600);
	g_assert_cmpuint(g_strv_length(mails), ==, 1);
	g_assert_cmpuint(g_strv_length(numbers), ==, 2);
	g_assert_cmpuint(g_strv_length(none), ==, 0);
	g_assert_cmpuint(a->min_priority, ==, 1);
	g_assert_cmpuint(g_strv_length(a->applications) + g_strv_length(a->names) + g_strv_length(a->to), ==, 0);
	g_assert_false(a->recovery);
	g_assert_cmpuint(a->flap_changes, ==, 0);
	g_assert_true(z->fold_traps && z->flap_traps && !a->fold_traps && a->flap_traps);
	/* Without the keys. */
	g_assert_cmpuint(a->fold_s, ==, 60);
	g_autoptr(Settings) other = parsed(R);
	const SettingsRule *r = other->rules->pdata[0];
	g_assert_cmpuint(r->flap_changes, ==, 6);
	g_assert_cmpuint(r->flap_s, ==, 600);
	g_assert_false(r->flap_traps);
}

/* Two devices judge by the hash whether they have the same settings. */
static void test_hash(void)
{
	static const struct {
		const char *a, *b;
		bool same;
	} pairs[] = {
		{ "", "[events]\nkeep=10000\nkeep-days=0\n", true },
		{ "", "[events]\nkeep=10001\n", false },
		{ "", "[events]\nkeep-days=1\n", false },
		{ "", M, false },
		{ M, M "per-hour=30\nsecurity=starttls\n", true },
		{ M S N, N M S, true },
		{ M, M "user=x\n", false },
		{ M, M2 "server=mail.example.com:587\n", true },
		{ "", R, false },
		{ R, R "min-priority=1\nrecovery=false\nfold-s=60\nflap=6/600\n", true },
		{ R, R "fold-s=0\n", false },
		{ R, R "flap=none\n", false },
		{ N "[rule r]\nactions=snmp:nms\n", N "[rule r]\nactions=snmp:nms\nfold-s=60\n", false }, /* now traps are counted, too */
		{ R, R "name=x\n", false },
		{ R, R "application=x\n", false },
		{ R "[rule b]\nactions=display\n", "[rule b]\nactions=display\n" R, false },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(pairs); i++) {
		g_autoptr(Settings) a = parsed(pairs[i].a), b = parsed(pairs[i].b);

		g_assert_cmpint(g_str_equal(a->pair_hash, b->pair_hash), ==, pairs[i].same);
	}
}

/* Texts without any of these sections keep the hash they had before there were such. */
static void test_hash_is_old(void)
{
	g_autoptr(Settings) s = parsed("");

	g_assert_cmpstr(s->pair_hash, ==, "b740247110c3e6d280cc2a136451227227d7b59a6b2f0e1732c776949b8f1cc2");
}

static void test_many(void)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) all = NULL, surplus = NULL;

	for (guint i = 0; i < 64; i++)
		g_string_append_printf(text, "[snmp n%u]\nhost=h\n", i);
	all = parsed(text->str);
	g_assert_cmpuint(all->targets->len, ==, 65);
	g_string_append(text, "[snmp last]\nhost=h\n");
	surplus = parse(text->str, &error);
	g_assert_null(surplus);
	g_assert_cmpstr(error->message, ==, "pair.conf:134: there are at most 64 targets");
}

static void test_example(void)
{
	g_autofree char *pair = NULL, *device = NULL, *more = NULL, *text = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = NULL;

	g_assert_true(g_file_get_contents(EXAMPLES_DIR "/pair.conf", &pair, NULL, NULL));
	g_assert_true(g_file_get_contents(EXAMPLES_DIR "/device.conf", &device, NULL, NULL));
	g_assert_true(g_file_get_contents(EXAMPLES_DIR "/pair-notify.conf", &more, NULL, NULL));
	text = g_strconcat(pair, "\n", more, NULL);
	s = parse_one(device, text, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(s->targets->len, ==, 7);
	g_assert_cmpuint(s->rules->len, ==, 2);
}

/* Those of the administrator's guide, each by itself: a block of text that begins with a section. */
static void test_guide(void)
{
	g_autofree char *text = NULL;
	guint n = 0;

	g_assert_true(g_file_get_contents(EXAMPLES_DIR "/../../docs/administration.md", &text, NULL, NULL));
	g_auto(GStrv) blocks = g_strsplit(text, "\n```", -1);
	for (guint i = 1; blocks[i] && blocks[i + 1]; i += 2) {
		if (!g_regex_match_simple("^\n\\[(mail|sms|snmp|led) ", blocks[i], 0, 0))
			continue;
		g_autoptr(Settings) s = parsed(blocks[i] + 1);
		g_assert_cmpuint(s->targets->len, ==, 2); /* and the display */
		n++;
	}
	g_assert_cmpuint(n, ==, 6);
}

int main(int argc, char **argv)
{
	setlocale(LC_ALL, "");
	g_test_init(&argc, &argv, NULL);
	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *path = g_strconcat("/settings/notify/bad/", bad[i].name, NULL);
		g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_bad);
	}
	g_test_add_func("/settings/notify/nothing", test_nothing);
	g_test_add_func("/settings/notify/mail", test_mail);
	g_test_add_func("/settings/notify/sms", test_sms);
	g_test_add_func("/settings/notify/snmp-and-led", test_snmp_and_led);
	g_test_add_func("/settings/notify/led-patterns", test_led_patterns);
	g_test_add_func("/settings/notify/rules", test_rules);
	g_test_add_func("/settings/notify/hash", test_hash);
	g_test_add_func("/settings/notify/hash-is-old", test_hash_is_old);
	g_test_add_func("/settings/notify/many", test_many);
	g_test_add_func("/settings/notify/example", test_example);
	g_test_add_func("/settings/notify/guide", test_guide);
	return g_test_run();
}
