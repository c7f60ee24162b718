/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/settings/test-settings.c - good settings: what they are read as, and how one key or the version of a text is written. */
#include <locale.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>

#include "settings/settings.h"
#include "test-settings.h"

/* Every key of the time before IPv6. */
#define OLDER_PAIR                                                                                                             \
	"[pair]\nenabled=false\ngroup-id=255\nvrrp-version=2\nadvert-interval-ms=2000\npriority=254\nvirtual-mac=false\n"      \
	"multicast=0\npeer-port=1\npeer-timeout-ms=500\nsync-interval-s=1\ngui-port=65535\ncold-boot-wait-ms=0\n"            \
	"first-answer-ms=0\n[group wan]\ninterface=wan\naddresses=203.0.113.10/24\n"                                       \
	"routes = default  via 203.0.113.1 ; 198.51.100.0/24 via 203.0.113.2\n"                                             \
	"[group lan]\ninterface=lan\naddresses=192.0.2.10/24,192.0.2.9/24\nelects=true\n"

static void test_device_full(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = parse_one(DEVICE, NULL, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(s->id, ==, "pbx-a");
	g_assert_cmpstr(s->name, ==, "Cellar left");
	g_assert_cmpstr(s->model, ==, "Box 100");
	g_assert_cmpuint(s->interfaces->len, ==, 2);
	const SettingsInterface *lan = settings_interface(s, "lan");
	g_assert_cmpstr(lan->device, ==, "eth0");
	g_assert_cmpstr(lan->address.text, ==, "192.0.2.11/24");
	g_assert_cmpstr(lan->address.host, ==, "192.0.2.11");
	IpAddress own = ip_v4(0xc000020b);
	g_assert_true(ip_equal(&lan->address.ip, &own));
	g_assert_cmpuint(lan->address.prefix, ==, 24);
	g_assert_true(settings_own_address(lan, AF_INET) == &lan->address);
	g_assert_null(settings_own_address(lan, AF_INET6));
	g_assert_null(lan->address6.text);
	g_assert_null(settings_interface(s, "dmz"));
	g_assert_cmpuint(g_strv_length(s->peer_addresses), ==, 2);
	g_assert_cmpstr(s->peer_addresses[0], ==, "10.0.0.2");
	g_assert_false(s->has_pair);
	g_assert_null(settings_electing_group(s));
	g_assert_cmpuint(s->groups->len, ==, 0);
	g_assert_cmpuint(s->applications->len, ==, 0);
}

static void test_device_least(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = parse_one("[device]\nid=x", NULL, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(s->name, ==, g_get_host_name());
	g_assert_cmpstr(s->model, ==, "");
	g_assert_cmpuint(g_strv_length(s->peer_addresses), ==, 0);

	/* Carriage returns, tabs, no newline at the end, empty lists: an editor's, not an error. */
	g_autoptr(Settings) t = parse_one("\t[device]\r\nid\t=\tx\r\nmodel=\r\n[peer]\r\naddresses=", NULL, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(t->id, ==, "x");
	g_assert_cmpuint(g_strv_length(t->peer_addresses), ==, 0);
}

/* Either family, or both; texts are written as the address means. */
static void test_device_ipv6(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = parse_one(DEVICE6, NULL, NULL, &error);
	g_assert_no_error(error);
	const SettingsInterface *lan = settings_interface(s, "lan"), *peer = settings_interface(s, "peer");
	g_assert_cmpstr(lan->address.text, ==, "192.0.2.11/24");
	g_assert_cmpstr(lan->address6.text, ==, "2001:db8::11/64");
	g_assert_cmpstr(lan->address6.host, ==, "2001:db8::11");
	g_assert_cmpuint(lan->address6.prefix, ==, 64);
	g_assert_true(settings_own_address(lan, AF_INET6) == &lan->address6);
	g_assert_null(settings_own_address(peer, AF_INET));
	g_assert_null(peer->address.host);
	g_assert_cmpstr(peer->address6.text, ==, "fd00::1/127");
	g_assert_cmpstr(s->peer_addresses[0], ==, "fd00::");
	g_assert_cmpstr(s->peer_addresses[1], ==, "2001:db8::12");
	g_assert_cmpstr(s->peer_addresses[2], ==, "192.0.2.12");
}

static void test_pair_defaults(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = parse_one(DEVICE, PAIR, NULL, &error);
	g_assert_no_error(error);
	g_assert_true(s->has_pair && s->enabled && s->virtual_mac && s->multicast);
	g_assert_cmpuint(s->group_id, ==, 51);
	g_assert_cmpuint(s->vrrp_version, ==, 3);
	g_assert_cmpuint(s->advert_interval_ms, ==, 100);
	g_assert_cmpint(s->family, ==, AF_INET);
	g_assert_cmpint(s->checksum, ==, SETTINGS_CHECKSUM_AUTO);
	g_assert_cmpuint(s->witnesses->len, ==, 0);
	g_assert_true(settings_electing_group(s)->adverts);
	g_assert_cmpuint(s->priority, ==, 100);
	g_assert_cmpuint(s->peer_port, ==, 7443);
	g_assert_cmpuint(s->peer_timeout_ms, ==, 3000);
	g_assert_cmpuint(s->sync_interval_s, ==, 60);
	g_assert_cmpuint(s->recovery_limit_s, ==, 60);
	g_assert_cmpuint(s->recordings_aside_days, ==, 30);
	g_assert_cmpuint(s->gui_port, ==, 7777);
	g_assert_cmpuint(s->cold_boot_wait_ms, ==, 15000);
	g_assert_cmpuint(s->first_answer_ms, ==, 30000);
	g_assert_cmpuint(s->revision_term, ==, 0);
	g_assert_cmpstr(s->revision_device, ==, "");
	g_assert_cmpuint(s->revision_n, ==, 0);
	g_assert_cmpstr(s->pair_text, ==, PAIR);
	const SettingsGroup *group = settings_electing_group(s);
	g_assert_nonnull(group); /* the only group elects without being told */
	g_assert_cmpstr(group->interface, ==, "lan");
	g_assert_cmpuint(group->addresses->len, ==, 1);
	g_assert_cmpuint(group->routes->len, ==, 0);
}

static void test_pair_full(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = parse_one(DEVICE,
					  "[pair]\nenabled=false\ngroup-id=255\nvrrp-version=2\nadvert-interval-ms=2000\npriority=254\n"
					  "virtual-mac=false\nmulticast=0\npeer-port=1\npeer-timeout-ms=500\nsync-interval-s=1\ngui-port=65535\n"
					  "cold-boot-wait-ms=0\nfirst-answer-ms=0\n"
					  "[group wan]\ninterface=wan\nroutes = default  via 203.0.113.1 ; 198.51.100.0/24 via 203.0.113.2\n"
					  "[group lan]\ninterface=lan\naddresses=192.0.2.10/24,192.0.2.9/24\nelects=true\n"
					  "[revision]\nterm=18446744073709551615\ndevice=pbx-b\nn=3\n",
					  NULL, &error);
	g_assert_no_error(error);
	g_assert_false(s->enabled || s->virtual_mac || s->multicast);
	g_assert_cmpuint(s->vrrp_version, ==, 2);
	g_assert_cmpuint(s->advert_interval_ms, ==, 2000);
	g_assert_cmpuint(s->groups->len, ==, 2);
	const SettingsGroup *wan = g_ptr_array_index(s->groups, 0);
	g_assert_false(wan->elects || wan->adverts);
	g_assert_cmpuint(wan->routes->len, ==, 2);
	g_assert_cmpstr(g_ptr_array_index(wan->routes, 0), ==, "default via 203.0.113.1");
	g_assert_cmpstr(g_ptr_array_index(wan->routes, 1), ==, "198.51.100.0/24 via 203.0.113.2");
	g_assert_cmpstr(settings_electing_group(s)->name, ==, "lan");
	g_assert_cmpuint(s->revision_term, ==, G_MAXUINT64);
	g_assert_cmpstr(s->revision_device, ==, "pbx-b");
	g_assert_cmpuint(s->revision_n, ==, 3);

	g_autoptr(Settings) v2 = parse_one(DEVICE, PAIR "[pair ]", NULL, NULL);
	g_assert_null(v2);
	g_autoptr(Settings) seconds =
		parse_one(DEVICE, "[pair]\ngroup-id=1\nvrrp-version=2\n[group g]\ninterface=lan\naddresses=192.0.2.10/24\n", NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(seconds->advert_interval_ms, ==, 1000);
}

/* Both families in one group, groups of one family, routes of both, witnesses. */
static void test_pair_ipv6(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = parse_one(DEVICE6,
					  "[pair]\ngroup-id=51\nfamily=ipv6\nchecksum=pseudo-header\nwitness=192.0.2.1, fe80::1; 2001:db8::1\n"
					  "[group lan]\ninterface=lan\naddresses=192.0.2.10/24, 2001:db8:0::10/64 fe80::10/64\nelects=true\n"
					  "routes=default via fe80:0::1; 2001:db8:5:0::/48 via 2001:db8::2; default via 192.0.2.1\n"
					  "[group wan]\ninterface=wan\naddresses=203.0.113.10/24,2001:db8:1::10/64,fe80::10/64\nadverts=true\n"
					  "[group six]\ninterface=six\naddresses=2001:db8:6::10/64\n",
					  NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpint(s->family, ==, AF_INET6);
	g_assert_cmpint(s->checksum, ==, SETTINGS_CHECKSUM_PSEUDO_HEADER);
	g_assert_cmpuint(s->witnesses->len, ==, 3);
	char text[IP_TEXT_SIZE];
	g_assert_cmpstr(ip_text(&g_array_index(s->witnesses, IpAddress, 1), text), ==, "fe80::1");
	const SettingsGroup *lan = settings_electing_group(s), *wan = g_ptr_array_index(s->groups, 1), *six = g_ptr_array_index(s->groups, 2);
	g_assert_true(lan->adverts && wan->adverts && !six->adverts);
	g_assert_cmpuint(settings_group_count(lan, AF_INET), ==, 1);
	g_assert_cmpuint(settings_group_count(lan, AF_INET6), ==, 2);
	g_assert_cmpstr(((const SettingsAddress *)g_ptr_array_index(lan->addresses, 1))->text, ==, "2001:db8::10/64");
	g_assert_cmpstr(g_ptr_array_index(lan->routes, 0), ==, "default via fe80::1");
	g_assert_cmpstr(g_ptr_array_index(lan->routes, 1), ==, "2001:db8:5::/48 via 2001:db8::2");

	/* No IPv4 there: the IPv6 router elects without being told, and needs no address of the device's own. */
	g_autoptr(Settings) six_only =
		parse_one(DEVICE6, "[pair]\ngroup-id=51\n[group g]\ninterface=wan\naddresses=2001:db8:1::10/64\n", NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpint(six_only->family, ==, AF_INET6);
	/* Version 2: the IPv6 addresses follow without adverts. */
	g_autoptr(Settings) v2 = parse_one(DEVICE6, "[pair]\ngroup-id=51\nvrrp-version=2\nchecksum=auto\n[group g]\ninterface=lan\n"
						    "addresses=2001:db8::10/64,192.0.2.10/24\n", NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpint(v2->family, ==, AF_INET);
}

/* The hash is of what the text means. */
static void test_pair_hash(void)
{
	static const char *const same[] = {
		PAIR,
		"# Our pair\n\n" PAIR,
		"[group lan]\naddresses = 192.0.2.10/24\ninterface = lan\nelects = true\n\n[pair]\nadvert-interval-ms=100\ngroup-id=51\n",
		PAIR "[revision]\nterm=3\ndevice=pbx-b\nn=9\n",
		"[pair]\ngroup-id=51\nfamily=ipv4\nchecksum=auto\nwitness=\n[group lan]\ninterface=lan\naddresses=192.0.2.10/24\nadverts=true\n",
	};
	static const char *const other[] = {
		"[pair]\ngroup-id=52\n[group lan]\ninterface=lan\naddresses=192.0.2.10/24\n",
		"[pair]\ngroup-id=51\n[group lan]\ninterface=lan\naddresses=192.0.2.10/25\n",
		"[pair]\ngroup-id=51\n[group lan]\ninterface=lan\naddresses=192.0.2.10/24,192.0.2.9/24\n",
		"[pair]\ngroup-id=51\nmulticast=false\n[group lan]\ninterface=lan\naddresses=192.0.2.10/24\n",
		PAIR "routes=default via 192.0.2.1\n",
		PAIR "routes=default via 2001:db8::1\n",
		"[pair]\ngroup-id=51\nwitness=192.0.2.1\n[group lan]\ninterface=lan\naddresses=192.0.2.10/24\n",
		"[pair]\ngroup-id=51\nchecksum=rfc\n[group lan]\ninterface=lan\naddresses=192.0.2.10/24\n",
		"[pair]\ngroup-id=51\n[group lan]\ninterface=lan\naddresses=192.0.2.10/24,2001:db8::10/64\n",
		"[pair]\ngroup-id=51\nfamily=ipv6\n[group lan]\ninterface=lan\naddresses=192.0.2.10/24,2001:db8::10/64\n",
	};
	g_autoptr(Settings) first = parse_one(DEVICE, same[0], NULL, NULL);
	g_assert_cmpuint(strlen(first->pair_hash), ==, 64);
	/* A device of an earlier version says this one. */
	g_assert_cmpstr(first->pair_hash, ==, "b740247110c3e6d280cc2a136451227227d7b59a6b2f0e1732c776949b8f1cc2");
	g_autoptr(Settings) older = parse_one(DEVICE, OLDER_PAIR, NULL, NULL);
	g_assert_cmpstr(older->pair_hash, ==, "871732a747e3ae2487b2fbc289535a45388826721b2ac1aad39a87870b34429e");
	for (guint i = 0; i < G_N_ELEMENTS(same); i++) {
		g_autoptr(Settings) s = parse_one(DEVICE, same[i], NULL, NULL);
		g_assert_cmpstr(s->pair_hash, ==, first->pair_hash);
	}
	for (guint i = 0; i < G_N_ELEMENTS(other); i++) {
		g_autoptr(Settings) s = parse_one(DEVICE, other[i], NULL, NULL);
		g_assert_cmpstr(s->pair_hash, !=, first->pair_hash);
	}
}

static void test_application_full(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = parse_one(DEVICE, NULL,
					  "[application]\ndescription=SIP server\ncommand=/usr/sbin/kamailio -DD -f '/etc/my pbx/k.cfg'\n"
					  "environment=A=1 B='two words' _C=\nuser=kamailio\ngroup=kamailio\nworking-directory=/var/lib/kamailio/\n"
					  "ready=command\nready-command=/usr/bin/check me\nready-timeout-ms=5000\nrestart=on-failure\n"
					  "restart-delay-ms=200\nstop-signal=SIGINT\nstop-timeout-ms=3000\n"
					  "[data etc]\npath=/etc/kamailio\nexclude=*.local, tls/*\n"
					  "[data users]\npath=/var/lib/kamailio/users.sqlite\nref=volatile\nkind=sqlite\n",
					  &error);
	g_assert_no_error(error);
	const SettingsApplication *a = settings_application(s, "kamailio");
	g_assert_cmpstr(a->description, ==, "SIP server");
	g_assert_cmpuint(g_strv_length(a->command), ==, 4);
	g_assert_cmpstr(a->command[3], ==, "/etc/my pbx/k.cfg");
	g_assert_cmpuint(g_strv_length(a->environment), ==, 3);
	g_assert_cmpstr(a->environment[1], ==, "B=two words");
	g_assert_cmpstr(a->user, ==, "kamailio");
	g_assert_cmpstr(a->working_directory, ==, "/var/lib/kamailio");
	g_assert_cmpint(a->ready, ==, SETTINGS_READY_CHECK);
	g_assert_cmpint(a->ready_check.kind, ==, SETTINGS_CHECK_COMMAND);
	g_assert_cmpstr(a->ready_check.command[1], ==, "me");
	g_assert_cmpuint(a->ready_timeout_ms, ==, 5000);
	g_assert_cmpint(a->restart, ==, SETTINGS_RESTART_ON_FAILURE);
	g_assert_cmpuint(a->restart_delay_ms, ==, 200);
	g_assert_cmpint(a->stop_signal, ==, SIGINT);
	g_assert_cmpuint(a->stop_timeout_ms, ==, 3000);
	g_assert_cmpuint(a->data->len, ==, 2);
	const SettingsData *etc = g_ptr_array_index(a->data, 0), *users = g_ptr_array_index(a->data, 1);
	g_assert_cmpstr(etc->path, ==, "/etc/kamailio");
	g_assert_cmpint(etc->ref, ==, SETTINGS_REF_CONFIG);
	g_assert_cmpint(etc->kind, ==, SETTINGS_DATA_FILES);
	g_assert_cmpuint(g_strv_length(etc->exclude), ==, 2);
	g_assert_cmpint(users->ref, ==, SETTINGS_REF_VOLATILE);
	g_assert_cmpint(users->kind, ==, SETTINGS_DATA_SQLITE);
	g_assert_nonnull(users->exclude);
}

static void test_application_rights_and_health(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = parse_one(DEVICE, NULL,
					  APPLICATION "ready=sip-options\nready-address=tcp [2001:db8::10]:5061\n"
					  "health=port\nhealth-address=5060\nhealth-interval-ms=300\nhealth-timeout-ms=100\nhealth-tolerance=0\n"
					  "watchdog-ms=700\ncritical=false\ncapabilities=CAP_NET_BIND_SERVICE cap_sys_nice\n"
					  "capability-bounds=cap_sys_nice, cap_net_bind_service, CAP_CHOWN\nnofile=65536\ncore=unlimited\n"
					  "memlock=64M\nmemory-max=1G\nnice=-5\noom-score-adj=-500\nrealtime=10\nprogram=/usr/bin/kamailio\n", &error);
	g_assert_no_error(error);
	const SettingsApplication *a = settings_application(s, "kamailio");
	g_assert_cmpint(a->ready_check.kind, ==, SETTINGS_CHECK_SIP);
	g_assert_true(a->ready_check.tcp);
	g_assert_cmpstr(a->ready_check.host, ==, "2001:db8::10");
	g_assert_cmpuint(a->ready_check.port, ==, 5061);
	g_assert_cmpint(a->health.kind, ==, SETTINGS_CHECK_PORT);
	g_assert_false(a->health.tcp);
	g_assert_null(a->health.host);
	g_assert_cmpuint(a->health_tolerance, ==, 0);
	g_assert_cmpuint(a->watchdog_ms, ==, 700);
	g_assert_false(a->critical);
	g_assert_cmpuint(a->rights.n_capabilities, ==, 2);
	g_assert_cmpint(a->rights.capabilities[0], ==, CAP_NET_BIND_SERVICE);
	g_assert_cmpuint(a->rights.n_bounds, ==, 3);
	g_assert_cmpint(a->rights.nofile, ==, 65536);
	g_assert_cmpint(a->rights.nproc, ==, SETTINGS_LIMIT_UNSET);
	g_assert_cmpint(a->rights.core, ==, SETTINGS_LIMIT_UNLIMITED);
	g_assert_cmpint(a->rights.memlock, ==, 64 << 20);
	g_assert_cmpint(a->rights.memory_max, ==, 1 << 30);
	g_assert_cmpint(a->rights.nice, ==, -5);
	g_assert_cmpint(a->rights.oom_score_adj, ==, -500);
	g_assert_cmpint(a->rights.realtime, ==, 10);
	g_assert_cmpstr(a->program, ==, "/usr/bin/kamailio");
}

static void test_application_early_traffic(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) queued = parse_one(DEVICE, NULL, APPLICATION "ready=sip-options\nready-address=udp 5060\nearly-traffic=queue\n", &error);
	g_assert_no_error(error);
	g_assert_true(settings_application(queued, "kamailio")->queue_early);
	g_autoptr(Settings) dropped = parse_one(DEVICE, NULL, APPLICATION "ready=port\nready-address=tcp 5060\nearly-traffic=drop\n", &error);
	g_assert_no_error(error);
	g_assert_false(settings_application(dropped, "kamailio")->queue_early);
}

static void test_application_unit(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = parse_one(DEVICE, NULL, "[application]\nunit=pbx@one.service\nready=command\nready-command=/bin/true\n", &error);
	g_assert_no_error(error);
	const SettingsApplication *a = settings_application(s, "kamailio");
	g_assert_cmpstr(a->unit, ==, "pbx@one.service");
	g_assert_null(a->command);
}

static void test_application_defaults(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = parse_one(DEVICE, NULL, APPLICATION, &error);
	g_assert_no_error(error);
	const SettingsApplication *a = settings_application(s, "kamailio");
	g_assert_cmpstr(a->description, ==, "");
	g_assert_nonnull(a->environment);
	g_assert_nonnull(a->needs);
	g_assert_null(a->user);
	g_assert_null(a->working_directory);
	g_assert_cmpint(a->ready, ==, SETTINGS_READY_STARTED);
	g_assert_null(a->ready_check.command);
	g_assert_cmpint(a->health.kind, ==, SETTINGS_CHECK_NONE);
	g_assert_cmpuint(a->watchdog_ms, ==, 0);
	g_assert_true(a->critical);
	g_assert_cmpuint(a->config_trial_s, ==, 300);
	g_assert_false(a->rights.has_capabilities);
	g_assert_cmpint(a->rights.nofile, ==, SETTINGS_LIMIT_UNSET);
	g_assert_cmpuint(a->ready_timeout_ms, ==, 30000);
	g_assert_cmpint(a->restart, ==, SETTINGS_RESTART_ALWAYS);
	g_assert_cmpuint(a->restart_delay_ms, ==, 100);
	g_assert_cmpint(a->stop_signal, ==, SIGTERM);
	g_assert_cmpuint(a->stop_timeout_ms, ==, 10000);
	g_assert_cmpuint(a->data->len, ==, 0);
	g_assert_null(settings_application(s, "asterisk"));
}

static void test_application_order(void)
{
	const char *names[] = { "gui", "pbx", "db", "alone", NULL };
	const char *texts[] = { "[application]\ncommand=/b\nneeds=pbx, db", "[application]\ncommand=/b\nneeds=db",
				"[application]\ncommand=/b", "[application]\ncommand=/b", NULL };
	static const char *const want[] = { "db", "pbx", "gui", "alone" };
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = settings_parse(DEVICE, NULL, names, texts, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(s->applications->len, ==, G_N_ELEMENTS(want));
	for (guint i = 0; i < G_N_ELEMENTS(want); i++)
		g_assert_cmpstr(((const SettingsApplication *)g_ptr_array_index(s->applications, i))->name, ==, want[i]);
}

static void test_revision(void)
{
	static const struct {
		const char *before, *after;
	} cases[] = {
		{ PAIR, PAIR "\n# Written by Understudy: which version of these settings this is.\n[revision]\nterm=4\ndevice=pbx-a\nn=7\n" },
		{ "", "# Written by Understudy: which version of these settings this is.\n[revision]\nterm=4\ndevice=pbx-a\nn=7\n" },
		{ "# top\n[revision]\n# kept\nn=1\nterm=2\n\ndevice=x\n[pair]\ngroup-id=1 \n",
		  "# top\n[revision]\nterm=4\ndevice=pbx-a\nn=7\n# kept\n\n[pair]\ngroup-id=1 \n" },
		{ "[ revision ]\nn=1\n[revision]\nn=2", "[revision]\nterm=4\ndevice=pbx-a\nn=7\n" },
		{ "[pair]\ngroup-id=1", "[pair]\ngroup-id=1\n\n# Written by Understudy: which version of these settings this is.\n[revision]\nterm=4\ndevice=pbx-a\nn=7\n" },
	};
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *after = settings_with_revision(cases[i].before, 4, "pbx-a", 7, 0);
		g_assert_cmpstr(after, ==, cases[i].after);
		g_autofree char *again = settings_with_revision(after, 4, "pbx-a", 7, 0);
		g_assert_cmpstr(again, ==, after);
	}

	g_autofree char *text = settings_with_revision(PAIR, G_MAXUINT64, "pbx-b", 1, 0);
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = parse_one(DEVICE, text, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(s->revision_term, ==, G_MAXUINT64);
	g_assert_cmpstr(s->revision_device, ==, "pbx-b");
}

static void test_one_key(void)
{
	static const struct {
		const char *before, *section, *key, *value, *after;
	} cases[] = {
		{ "# top\n[pair]\n group-id = 1\n\n[group lan]\ninterface=lan\n", "pair", "group-id", "7", "# top\n[pair]\ngroup-id=7\n\n[group lan]\ninterface=lan\n" },
		{ "[pair]\ngroup-id=1\n\n# about lan\n[group lan]\n", "pair", "enabled", "false", "[pair]\ngroup-id=1\nenabled=false\n\n# about lan\n[group lan]\n" },
		{ "[pair]\n[ group  lan ]\ninterface=lan", "group lan", "interface", "wan", "[pair]\n[ group  lan ]\ninterface=wan" },
		{ "[pair]\n[group lan]\na=b", "group lan", "interface", "wan", "[pair]\n[group lan]\na=b\ninterface=wan" },
		{ "[pair]\n#enabled=true\nenabled=true\n", "pair", "enabled", NULL, "[pair]\n#enabled=true\n" },
		{ "[pair]\na=b\n", "pair", "enabled", NULL, "[pair]\na=b\n" },
		{ "[pair]\n", "group lan", "interface", "lan", NULL },
		{ "[pair]\n", "pair", "enabled", "true\n[group]", NULL },
	};
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *after = settings_with_key(cases[i].before, cases[i].section, cases[i].key, cases[i].value, &error);
		g_assert_cmpstr(after, ==, cases[i].after);
		g_assert_true((after == NULL) == (error != NULL));
	}
}

static void test_finding(void)
{
	static const struct {
		const char *line, *key;
	} cases[] = {
		{ "vrrp-version=2\n", "vrrp-version advert-interval-ms" }, { "advert-interval-ms=200\n", "advert-interval-ms" }, { "multicast=false\n", "multicast" },
		{ "virtual-mac=false\n", "virtual-mac" }, { "peer-port=9000\n", "peer-port" }, { "enabled=false\n", "enabled" }, { "sync-interval-s=9\n", "" },
	};
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) plain = parse_one(DEVICE, "[pair]\ngroup-id=1\n[group lan]\ninterface=lan\naddresses=192.0.2.10/24\n", NULL, &error);
	g_assert_no_error(error);
	g_autofree char *before = settings_finding(plain);
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *text = g_strdup_printf("[pair]\ngroup-id=1\n%s[group lan]\ninterface=lan\naddresses=192.0.2.10/24\n", cases[i].line);
		g_autoptr(Settings) other = parse_one(DEVICE, text, NULL, &error);
		g_assert_no_error(error);
		g_auto(GStrv) differ = settings_finding_differs(plain, other);
		g_autofree char *keys = g_strjoinv(" ", differ), *after = settings_finding(other);
		g_assert_cmpstr(keys, ==, cases[i].key);
		g_assert_true((strcmp(before, after) != 0) == (*cases[i].key != '\0'));
	}
}

int main(int argc, char **argv)
{
	setlocale(LC_ALL, "");
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/settings/device/full", test_device_full);
	g_test_add_func("/settings/device/least", test_device_least);
	g_test_add_func("/settings/pair/defaults", test_pair_defaults);
	g_test_add_func("/settings/pair/full", test_pair_full);
	g_test_add_func("/settings/device/ipv6", test_device_ipv6);
	g_test_add_func("/settings/pair/ipv6", test_pair_ipv6);
	g_test_add_func("/settings/pair/hash", test_pair_hash);
	g_test_add_func("/settings/application/full", test_application_full);
	g_test_add_func("/settings/application/rights-and-health", test_application_rights_and_health);
	g_test_add_func("/settings/application/early-traffic", test_application_early_traffic);
	g_test_add_func("/settings/application/unit", test_application_unit);
	g_test_add_func("/settings/application/defaults", test_application_defaults);
	g_test_add_func("/settings/application/order", test_application_order);
	g_test_add_func("/settings/revision", test_revision);
	g_test_add_func("/settings/one-key", test_one_key);
	g_test_add_func("/settings/finding", test_finding);
	return g_test_run();
}
