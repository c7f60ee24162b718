/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pages of status and timeline, from made-up answers of the daemons. */
#include <json-glib/json-glib.h>
#include <string.h>

#include "ctl/election-view.h"
#include "ctl/status-view.h"
#include "ctl/timeline-view.h"

static const RenderStyle PLAIN = { .utf8 = true };

static const char SUPERVISOR[] =
	"{'Role': <'master'>, 'RoleReason': <'first'>, 'RoleSequence': <uint64 4>, 'RoleSinceMs': <int64 1000000>,"
	" 'Term': <(uint64 7, 'dev-a')>, 'Mode': <'active'>, 'DeviceId': <'dev-a'>, 'DeviceName': <'Left'>, 'Version': "
	"<'0.1.0'>,"
	" 'Enabled': <true>, 'GroupId': <byte 0x33>, 'ServiceAddresses': <['192.0.2.1/24 lan', '203.0.113.1/24 wan']>,"
	" 'SettingsError': <'%s'>, 'Peer': <%s>, 'Problems': <%s>}";
static const char CONNECTED[] = "{'connected': <true>, 'age_ms': <int64 20>, 'id': <'dev-b'>, 'name': <'Right'>, "
				"'role': <'backup'>, 'mode': <'passive'>,"
				" 'term': <uint64 7>, 'term_id': <'dev-a'>, 'version': <'0.1.0'>}";
static const char STALE[] = "{'connected': <false>, 'age_ms': <int64 65000>, 'id': <'dev-b'>, 'name': <'Right'>, "
			    "'role': <'backup'>, 'mode': <'passive'>}";
static const char SYNC[] = "{'Role': <'lead'>, 'Stored': <{'config': 'aaaaaaaaaaaa', 'volatile': 'cccccccccccc'}>,"
			   " 'Applied': <{'config': 'aaaaaaaaaaaa', 'volatile': 'cccccccccccc'}>,"
			   " 'PeerStored': <{'config': 'aaaaaaaaaaaa', 'volatile': 'bbbbbbbbbbbb'}>,"
			   " 'PeerApplied': <{'config': 'aaaaaaaaaaaa', 'volatile': '999999999999'}>,"
			   " 'RecoveryPoint': <{'config': {'stored_changes': <uint64 0>, 'applied_changes': <uint64 0>, 'exact': <true>},"
			   " 'volatile': {'stored_changes': <uint64 1>, 'stored_since_ms': <int64 1059000>, 'applied_changes': <uint64 3>,"
			   " 'applied_since_ms': <int64 1050000>, 'exact': <false>}}>, 'PeerHeardMs': <int64 1059500>,"
			   " 'FirstSyncDone': <true>, 'LastSyncMs': <int64 1055000>, 'Activity': <'idle'>, "
			   "'LastError': <''>, 'Diverged': <@as []>}";
static const char ELECTION[] = "{'State': <'master'>, 'Reason': <'master-down'>, 'SinceUs': <int64 15000000>,"
			       " 'Holds': <[('passive', 'by order', int64 10000000)]>, 'Carrier': <true>,"
			       " 'Priority': <byte 171>, 'PriorityReason': <'serving, step 0, offset 0'>,"
			       " 'Paths': <[{'interface': <'lan'>, 'device': <'eth0'>, 'peer': <'192.0.2.12'>, 'electing': <true>,"
			       " 'open': <true>, 'heard_us': <int64 0>}]>, 'LastStranger': <('', '', uint64 0, int64 0)>,"
			       " 'Problems': <['slow: adverts']>}";
static const char BACKUP[] = "{'State': <'backup'>, 'Reason': <'started'>, 'SinceUs': <int64 15000000>, 'Priority': <byte 86>,"
			     " 'PriorityReason': <'not-serving, step 0, offset 1'>, 'Holds': <@a(ssx) []>,"
			     " 'Paths': <[{'interface': <'lan'>, 'device': <'eth0'>, 'peer': <'192.0.2.11'>, 'open': <true>,"
			     " 'heard_us': <int64 74943000>}, {'interface': <'lan'>, 'name': <'lan-ipv6'>, 'device': <'eth0'>,"
			     " 'peer': <'fe80::11'>, 'open': <true>, 'heard_us': <int64 0>}, {'interface': <'peer'>, 'device': <'eth1'>, 'peer': <'10.0.0.1'>,"
			     " 'open': <false>, 'heard_us': <int64 1000000>}, {'interface': <'wan'>, 'device': <'eth2'>,"
			     " 'peer': <''>, 'open': <true>, 'heard_us': <int64 0>}]>,"
			     " 'LastStranger': <('192.0.2.66\033[2J', 'stranger', uint64 12, int64 10000000)>}";
static const char VRRP[] = "{'MasterAddress': <'192.0.2.11'>, 'MasterPriority': <byte 171>, 'MasterAdvertIntervalMs': <uint32 100>,"
			   " 'MasterDownIntervalUs': <int64 300781>,"
			   " 'Counters': <{'sent': uint64 0, 'received': 10, 'drop-ttl': 3}>}";

static GVariant *parsed(const char *text)
{
	g_autoptr(GError) error = NULL;
	GVariant *value = g_variant_parse(NULL, text, NULL, NULL, &error);

	g_assert_no_error(error);
	return value;
}

typedef struct {
	StatusView view;
	char *text;
} Page;

/* Each part is the text of a GVariant, or NULL for a daemon that did not answer. */
static void page_init(Page *page, const char *peer, const char *problems, const char *settings_error, const char *sync,
		      const char *election)
{
	g_autofree char *supervisor = g_strdup_printf(SUPERVISOR, settings_error, peer, problems);

	page->view = (StatusView){
		.supervisor = parsed(supervisor),
		.applications = g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref),
		.sync = sync ? parsed(sync) : NULL,
		.election = election ? parsed(election) : NULL,
		.now_ms = 1060000,
		.now_boot_us = 75000000,
	};
	g_ptr_array_add(
		page->view.applications,
		parsed("{'Name': <'kamailio'>, 'State': <'running'>, 'Pid': <uint32 321>, 'SinceMs': <int64 1050000>,"
		       " 'Restarts': <uint32 2>, 'LastExit': <'signal 9'>, 'StatusText': <'ready'>}"));
	g_ptr_array_add(page->view.applications,
			parsed("{'Name': <'media'>, 'State': <'failed'>, 'Pid': <uint32 0>, 'SinceMs': <int64 0>,"
			       " 'Restarts': <uint32 0>, 'LastExit': <'exit 1'>, 'StatusText': <''>}"));
	page->text = status_view_text(&page->view, &PLAIN);
}

static void page_clear(Page *page)
{
	g_variant_unref(page->view.supervisor);
	g_ptr_array_unref(page->view.applications);
	g_clear_pointer(&page->view.sync, g_variant_unref);
	g_clear_pointer(&page->view.election, g_variant_unref);
	g_free(page->text);
}

static void test_both_devices(void)
{
	Page page;

	page_init(&page, CONNECTED, "@as []", "", SYNC, ELECTION);
	g_assert_cmpstr(page.text, ==,
			"               this device                  peer\n"
			"device         Left (dev-a)                 Right (dev-b)\n"
			"role           master                       backup\n"
			"mode           active                       passive\n"
			"term           7 (dev-a)                    7 (dev-a)\n"
			"version        0.1.0                        0.1.0\n"
			"sync config    aaaaaaaa stored and applied  aaaaaaaa stored and applied\n"
			"sync volatile  cccccccc stored and applied  bbbbbbbb stored, 99999999 applied\n"
			"since          1 min 0 s (first)\n"
			"\nService addresses\n"
			"  192.0.2.1/24 lan\n"
			"  203.0.113.1/24 wan\n"
			"  group 51, election here: master\n"
			"\nElection\n"
			"  state          master for 1 min 0 s (master-down)\n"
			"  Master         this device\n"
			"  priority       171: serving, step 0, offset 0\n"
			"  path lan       192.0.2.12 on eth0, not heard yet\n"
			"  last stranger  none\n"
			"\nApplications\n"
			"  kamailio  running for 10 s  pid 321  ready, restarted 2 times\n"
			"  media     failed                     last ended by exit 1\n"
			"\nSynchronisation\n"
			"  lead, idle, last synchronised 5 s ago\n"
			"  the Backup has not applied at least 3 changes for 10 s of volatile (not stored: at least 1 change for 1 s)\n"
			"  a takeover now would lose that, peer heard 500 ms ago\n"
			"\nHolds (this device does not take over by itself)\n"
			"  passive  for 1 min 5 s  by order\n"
			"\nProblems\n"
			"  slow: adverts\n");
	page_clear(&page);
}

static void test_stale_peer(void)
{
	Page page;

	page_init(&page, STALE, "['peer-down: nothing heard', 'settings-bad: they are', 'slow: adverts']", "pair.conf:3: bad\033[2J", SYNC,
		  ELECTION);
	g_assert_nonnull(strstr(page.text, "unknown (last heard 1 min 5 s ago)\n"));
	g_assert_null(strstr(page.text, "passive\n")); /* yesterday's mode is not shown as today's */
	g_assert_null(strstr(page.text, "bbbbbbbb"));
	g_assert_nonnull(strstr(page.text, "Right (dev-b)"));
	g_assert_nonnull(strstr(page.text, "  settings: pair.conf:3: bad?[2J (the last good ones are in use)\n  "
					   "peer-down: nothing heard\n  slow: adverts\n"));
	g_assert_cmpstr(strstr(page.text, "slow: adverts"), ==,
			"slow: adverts\n"); /* once, though both daemons say it */
	g_assert_null(strchr(page.text, '\033'));
	page_clear(&page);
}

static void test_others_away(void)
{
	Page page;

	page_init(&page, "{'connected': <false>, 'age_ms': <int64 -1>}", "@as []", "", NULL, NULL);
	g_assert_nonnull(strstr(page.text, "not paired"));
	g_assert_nonnull(strstr(page.text, "vrrpd: the election daemon did not answer"));
	g_assert_nonnull(strstr(page.text, "syncd: the synchronisation daemon did not answer"));
	page_clear(&page);
	page_init(&page, "{'connected': <false>, 'age_ms': <int64 -1>, 'id': <'dev-b'>}", "@as []", "", SYNC, ELECTION);
	g_assert_nonnull(strstr(page.text, "unknown (never heard)"));
	page_clear(&page);
}

static void test_status_value(void)
{
	g_autoptr(GVariant) value = NULL;
	g_autofree char *text = NULL;
	Page page;

	page_init(&page, STALE, "['a: b']", "", SYNC, ELECTION);
	value = g_variant_ref_sink(status_view_value(&page.view));
	text = json_gvariant_serialize_data(value, NULL);
	for (const char *const *piece =
		     (const char *const[]){
			     "\"role\":\"master\"", "\"term\":7", "\"term_id\":\"dev-a\"", "\"role_since_ms\":1000000",
			     "\"service_addresses\":[\"192.0.2.1/24 lan\",\"203.0.113.1/24 wan\"]",
			     "\"connected\":false", "\"paired\":true", "\"age_ms\":65000", "\"problems\":[\"a: b\"]",
			     "\"holds\":[{\"name\":\"passive\",\"reason\":\"by order\",\"age_ms\":65000}]",
			     "\"pid\":321", "\"first_sync_done\":true",
			     "\"peer_applied\":{\"config\":\"aaaaaaaaaaaa\",\"volatile\":\"999999999999\"}", NULL };
	     *piece; piece++)
		if (!strstr(text, *piece))
			g_error("%s lacks %s", text, *piece);
	page_clear(&page);
}

static void test_election(void)
{
	g_autoptr(GVariant) election = parsed(BACKUP), vrrp = parsed(VRRP), value = NULL, held = parsed(ELECTION);
	ElectionView view = { election, vrrp, 75000000 }, of_held = { held, vrrp, 75000000 }, nothing = { 0 };
	g_autofree char *text = election_view_text(&view, &PLAIN), *counters = election_view_counters(&view, &PLAIN);
	g_autofree char *holds = election_view_holds(&view, &PLAIN), *json = NULL, *none = election_view_text(&nothing, &PLAIN);

	g_assert_cmpstr(text, ==,
			"  state          backup for 1 min 0 s (started)\n"
			"  Master         192.0.2.11, priority 171, adverts every 100 ms\n"
			"  priority       86: not-serving, step 0, offset 1\n"
			"  takes over     after 300.8 ms without an advert\n"
			"  path lan       192.0.2.11 on eth0, heard 57 ms ago\n"
			"  path lan-ipv6  fe80::11 on eth0, not heard yet\n"
			"  path peer      eth1 cannot be listened to\n"
			"  path wan       anybody on eth2, not heard yet\n"
			"  adverts        0 sent, 0 counted, 3 dropped; woken late 0 times\n"
			"  last stranger  192.0.2.66?[2J: stranger, 12 times, the last 1 min 5 s ago\n");
	g_assert_cmpstr(counters, ==, "  received  10\n  drop-ttl  3\n");
	g_assert_cmpstr(holds, ==, "");
	g_assert_cmpstr(none, ==, "");
	value = g_variant_ref_sink(election_view_value(&view));
	json = json_gvariant_serialize_data(value, NULL);
	for (const char *const *piece =
		     (const char *const[]){ "\"master_address\":\"192.0.2.11\"", "\"heard_age_ms\":57", "\"heard_age_ms\":-1", "\"age_ms\":60000",
					    "\"count\":12", "\"age_ms\":65000", "\"drop-ttl\":3", "\"priority_reason\":", NULL };
	     *piece; piece++)
		if (!strstr(json, *piece))
			g_error("%s lacks %s", json, *piece);
	g_assert_null(strstr(json, "heard_us"));
	g_free(text);
	text = election_view_holds(&of_held, &PLAIN);
	g_assert_cmpstr(text, ==, "  passive  for 1 min 5 s  by order\n");
}

static void test_timeline(void)
{
	g_autoptr(GVariant) transitions = parsed(
		"[{'device': <'dev-b'>, 'sequence': <uint64 2>, 'old': <'backup'>, 'new': <'taking-over'>, 'reason': "
		"<'master-down'>,"
		"  'term': <uint64 8>, 'term_id': <'dev-b'>, 'time_ms': <int64 1700000000123>,"
		"  'evidence': <{'carrier': <true>, 'priority_heard': <byte 201>, 'last_heard': <{'lan': int64 5}>,"
		"  'addresses_up_us': <int64 9>, 'heard_before_ms': <{'lan': 300.8, 'peer': 300.75}>}>,"
		"  'phases': <[{'name': <'detection'>, 'begin_ms': <-300.0>, 'end_ms': <0.0>},"
		"              {'name': <'addresses'>, 'begin_ms': <0.0>, 'end_ms': <2.5>},"
		"              {'name': <'kamailio'>, 'begin_ms': <2.5>, 'end_ms': <100.0>}]>},"
		" {'device': <'dev-b'>, 'old': <'taking-over'>, 'new': <'master'>, 'reason': <''>, 'term': <uint64 8>,"
		"  'time_ms': <int64 1700000000223>, 'phases': <@aa{sv} []>}]");
	g_autoptr(GVariant) none = g_variant_ref_sink(g_variant_new("aa{sv}", NULL));
	g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
	g_autofree char *text = timeline_view_text(transitions, &PLAIN, utc),
			*empty = timeline_view_text(none, &PLAIN, utc);

	g_assert_cmpstr(text, ==,
			"2023-11-14 22:13:20.123  dev-b  backup -> taking-over  because master-down  term 8\n"
			"  detection  ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇              300.0 ms  at -300.0\n"
			"  addresses                                ▇               2.5 ms  at 0.0\n"
			"  kamailio                                 ▇▇▇▇▇▇▇▇▇▇     97.5 ms  at 2.5\n"
			"  evidence  carrier: yes, priority_heard: 201, heard_before_ms: lan 300.8; peer 300.8\n"
			"\n"
			"2023-11-14 22:13:20.223  dev-b  taking-over -> master  term 8\n");
	g_assert_cmpstr(empty, ==, "no change of role yet\n");
}

static char *lost_line(const char *evidence)
{
	g_autofree char *record = g_strdup_printf("[{'device': <'b'>, 'evidence': <%s>}]", evidence);
	g_autoptr(GVariant) transitions = parsed(record);
	g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
	g_autofree char *text = timeline_view_text(transitions, &PLAIN, utc);
	const char *line = strchr(text, '\n');

	return g_strdup(line + 1);
}

/* What a takeover has cost, also when that is nothing, or not known. */
static void test_lost(void)
{
	static const struct {
		const char *evidence, *line;
	} rows[] = {
		{ "{'lost': <{'heard': <true>, 'refs': <{'config': {'changes': <uint64 0>}, 'volatile': {'changes': <uint64 0>}}>}>}",
		  "  lost  no change that the other device told of\n" },
		{ "{'lost': <{'heard': <false>, 'refs': <{'config': {'changes': <uint64 0>}}>}>}",
		  "  lost  not known: the other device had not been heard\n" },
		{ "{'lost': <{'heard': <true>, 'refs': <{'config': {'changes': <uint64 1>, 'exact': <true>, 'span_ms': <uint64 250>},"
		  " 'volatile': {'changes': <uint64 3>, 'exact': <false>, 'span_ms': <uint64 1500>}}>}>,"
		  " 'contacts_before': <uint64 17>, 'contacts_after': <uint64 15>, 'contacts_lost': <uint64 2>}",
		  "  lost  1 change of config (250.0 ms), at least 3 changes of volatile (1500.0 ms), 2 of 17 contacts\n" },
		{ "{'contacts_before': <uint64 17>, 'contacts_after': <uint64 18>, 'contacts_lost': <uint64 0>, 'first_phone': <'192.0.2.100'>}",
		  "  lost  0 of 17 contacts\n  evidence  first_phone: 192.0.2.100\n" },
		{ "{'failed': <'kamailio (exit 255)'>, 'last_output': <'cannot bind\\ngiving up\\n'>, 'carrier': <true>}",
		  "  failed  kamailio (exit 255)\n  said  cannot bind\n  said  giving up\n  evidence  carrier: yes\n" },
		{ "@a{sv} {}", "" },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *line = lost_line(rows[i].evidence);
		g_assert_cmpstr(line, ==, rows[i].line);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ctl/status/both-devices", test_both_devices);
	g_test_add_func("/ctl/status/stale-peer", test_stale_peer);
	g_test_add_func("/ctl/status/others-away", test_others_away);
	g_test_add_func("/ctl/status/value", test_status_value);
	g_test_add_func("/ctl/election", test_election);
	g_test_add_func("/ctl/timeline", test_timeline);
	g_test_add_func("/ctl/lost", test_lost);
	return g_test_run();
}
