/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settings/pair.c - pair.conf: what the two devices share; pure. */
#include "settings/settings-private.h"

#include <string.h>

#include "settings/value.h"

static const ScannerRule rules[] = {
	{ "pair",
	  false,
	  { "enabled", "group-id", "vrrp-version", "advert-interval-ms", "priority", "virtual-mac", "multicast", "family",
	    "checksum", "witness", "peer-port", "peer-timeout-ms", "sync-interval-s", "recovery-limit-s", "recordings-aside-days", "gui-port", "cold-boot-wait-ms", "first-answer-ms",
	    "passive-reminder-min" } },
	{ "group", true, { "interface", "addresses", "routes", "elects", "adverts" } },
	{ "drill", false, { "max-silence-ms", "max-age-days" } },
	{ "events", false, { "keep", "keep-days" } },
	{ "mail", true, { "to", "from", "server", "security", "user", "ca", "transport", "per-hour" } },
	{ "sms",
	  true,
	  { "to", "url", "method", "header", "header-2", "header-3", "body", "body-encoding", "success", "max-parts", "seven-bit", "ca", "user",
	    "per-hour" } },
	{ "snmp", true, { "host", "version", "kind", "user", "auth", "priv", "per-hour" } },
	{ "led", true, { "led", "priority-1", "priority-2", "priority-3" } },
	{ "rule", true, { "application", "name", "min-priority", "actions", "to", "recovery", "fold-s", "flap" } },
	{ "revision", false, { "term", "device", "n", "peer-port-before" } },
	{ 0 },
};

void pair_set_defaults(Settings *settings)
{
	settings->enabled = true;
	settings->vrrp_version = 3;
	settings->family = AF_INET;
	settings->checksum = SETTINGS_CHECKSUM_AUTO;
	settings->advert_interval_ms = 100;
	settings->priority = 100;
	settings->virtual_mac = true;
	settings->multicast = true;
	settings->peer_port = 7443;
	settings->peer_timeout_ms = 3000;
	settings->sync_interval_s = 60;
	settings->recovery_limit_s = 60;
	settings->recordings_aside_days = 30;
	settings->gui_port = 7777;
	settings->cold_boot_wait_ms = 15000;
	settings->first_answer_ms = 30000;
	settings->passive_reminder_min = 60;
	settings->drill_max_silence_ms = 5000;
	settings->drill_max_age_days = 90;
	settings->revision_device = g_strdup("");
	notify_set_defaults(settings);
}

/* Version 3 carries centiseconds in 12 bits, version 2 whole seconds in 8 (RFC 9568 5.2.7, RFC 3768 5.3.7). */
static bool read_advert_interval(Settings *settings, const ScannerFile *file, const ScannerSection *pair, GError **error)
{
	const ScannerKey *key = scanner_key(pair, "advert-interval-ms");
	guint interval_ms = settings->vrrp_version == 2 ? 1000 : 100;

	if (settings->vrrp_version == 2) {
		if (!value_uint(file, pair, "advert-interval-ms", 1000, 255000, &interval_ms, error))
			return false;
		if (interval_ms % 1000)
			return scanner_error(error, file->file, key->line, "VRRP version 2 knows whole seconds: \"advert-interval-ms\" is a multiple of 1000, not %u",
					     interval_ms);
	} else {
		if (!value_uint(file, pair, "advert-interval-ms", 10, 40950, &interval_ms, error))
			return false;
		if (interval_ms % 10)
			return scanner_error(error, file->file, key->line, "VRRP version 3 knows hundredths of a second: \"advert-interval-ms\" is a multiple of 10, not %u",
					     interval_ms);
	}
	settings->advert_interval_ms = interval_ms;
	return true;
}

static bool read_pair(Settings *settings, const ScannerFile *file, const ScannerSection *pair, GError **error)
{
	static const char *const versions[] = { "2", "3", NULL }, *const checksums[] = { "auto", "rfc", "pseudo-header", NULL };
	guint version = settings->vrrp_version - 2, checksum = SETTINGS_CHECKSUM_AUTO;

	if (!value_require(file, pair, "group-id", error) ||
	    !value_bool(file, pair, "enabled", &settings->enabled, error) ||
	    !value_uint(file, pair, "group-id", 1, 255, &settings->group_id, error) ||
	    !value_word(file, pair, "vrrp-version", versions, &version, error) ||
	    !value_uint(file, pair, "priority", 1, 254, &settings->priority, error) ||
	    !value_bool(file, pair, "virtual-mac", &settings->virtual_mac, error) ||
	    !value_bool(file, pair, "multicast", &settings->multicast, error) ||
	    !value_word(file, pair, "checksum", checksums, &checksum, error) ||
	    !value_uint(file, pair, "peer-port", 1, 65534, &settings->peer_port, error) ||
	    !value_uint(file, pair, "peer-timeout-ms", 500, 600000, &settings->peer_timeout_ms, error) ||
	    !value_uint(file, pair, "sync-interval-s", 1, 86400, &settings->sync_interval_s, error) ||
	    !value_uint(file, pair, "recovery-limit-s", 0, 86400, &settings->recovery_limit_s, error) ||
	    !value_uint(file, pair, "recordings-aside-days", 0, 36500, &settings->recordings_aside_days, error) ||
	    !value_uint(file, pair, "gui-port", 1, 65535, &settings->gui_port, error) ||
	    !value_uint(file, pair, "cold-boot-wait-ms", 0, 600000, &settings->cold_boot_wait_ms, error) ||
	    !value_uint(file, pair, "first-answer-ms", 0, 600000, &settings->first_answer_ms, error) ||
	    !value_uint(file, pair, "passive-reminder-min", 0, 10080, &settings->passive_reminder_min, error))
		return false;
	settings->vrrp_version = version + 2;
	settings->checksum = (SettingsChecksum)checksum;
	if (settings->vrrp_version == 2 && settings->checksum != SETTINGS_CHECKSUM_AUTO)
		return scanner_error(error, file->file, scanner_key(pair, "checksum")->line, "VRRP version 2 has one checksum only; \"checksum\" is for version 3");
	if (settings->peer_port == settings->gui_port) {
		const ScannerKey *key = scanner_key(pair, "gui-port") ?: scanner_key(pair, "peer-port");
		return scanner_error(error, file->file, key->line, "\"peer-port\" and \"gui-port\" are both %u", settings->gui_port);
	}
	return read_advert_interval(settings, file, pair, error);
}

/* The interface that has @ip as this device's own, or NULL. */
static const SettingsInterface *interface_with(const Settings *settings, const IpAddress *ip)
{
	for (guint i = 0; i < settings->interfaces->len; i++) {
		const SettingsInterface *interface = g_ptr_array_index(settings->interfaces, i);
		const SettingsAddress *own = settings_own_address(interface, ip->family);

		if (own && ip_equal(&own->ip, ip))
			return interface;
	}
	return NULL;
}

/* @address must be new: in no group so far (link-local ones: on this interface), and no device's own. */
static bool check_address(const Settings *settings, const ScannerFile *file, guint line, const SettingsGroup *own_group,
			  const SettingsAddress *address, GError **error)
{
	bool local = address->ip.family == AF_INET6 && ip_is_link_local(&address->ip);

	for (guint i = 0; i < settings->groups->len; i++) {
		const SettingsGroup *group = g_ptr_array_index(settings->groups, i);
		for (guint j = 0; j < group->addresses->len; j++) {
			const SettingsAddress *other = g_ptr_array_index(group->addresses, j);
			if (other != address && ip_equal(&other->ip, &address->ip) &&
			    (!local || g_str_equal(group->interface, own_group->interface)))
				return scanner_error(error, file->file, line, "%s is already an address of group %s", address->host, group->name);
		}
	}
	const SettingsInterface *interface = interface_with(settings, &address->ip);
	if (interface)
		return scanner_error(error, file->file, line, "%s is this device's own address on interface %s; a service address belongs to neither device",
				     address->host, interface->name);
	for (guint i = 0; settings->peer_addresses[i]; i++)
		if (g_str_equal(settings->peer_addresses[i], address->host))
			return scanner_error(error, file->file, line, "%s is the peer's own address; a service address belongs to neither device",
					     address->host);
	return true;
}

/* A service address, this device's, or the peer's. */
static bool is_pairs_own(const Settings *settings, const IpAddress *ip)
{
	char text[IP_TEXT_SIZE];

	for (guint i = 0; i < settings->groups->len; i++) {
		const SettingsGroup *group = g_ptr_array_index(settings->groups, i);

		for (guint j = 0; j < group->addresses->len; j++)
			if (ip_equal(&((const SettingsAddress *)g_ptr_array_index(group->addresses, j))->ip, ip))
				return true;
	}
	return interface_with(settings, ip) || g_strv_contains((const char *const *)settings->peer_addresses, ip_text(ip, text));
}

static bool read_addresses(Settings *settings, SettingsGroup *group, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	const ScannerKey *key = scanner_key(section, "addresses");
	g_auto(GStrv) list = NULL;
	value_list(section, "addresses", ",; \t", &list);

	for (guint i = 0; list && list[i]; i++) {
		g_autofree char *reason = NULL;
		SettingsAddress *address = g_new0(SettingsAddress, 1);
		g_ptr_array_add(group->addresses, address);
		if (!value_parse_address(list[i], AF_UNSPEC, address, &reason))
			return scanner_error(error, file->file, key->line, "%s", reason);
		if (!check_address(settings, file, key->line, group, address, error))
			return false;
	}
	guint n = settings_group_count(group, AF_INET), n6 = settings_group_count(group, AF_INET6);
	if (n > SETTINGS_MAX_ADDRESSES)
		return scanner_error(error, file->file, key->line, "a group has at most %u IPv4 addresses, not %u", SETTINGS_MAX_ADDRESSES, n);
	/* One that is not named is derived, and is in the adverts too. */
	if (n6 && !settings_group_has_link_local(group))
		n6++;
	if (n6 > SETTINGS_MAX_ADDRESSES)
		return scanner_error(error, file->file, key->line, "a group has at most %u IPv6 addresses with its link-local one, not %u",
				     SETTINGS_MAX_ADDRESSES, n6);
	return true;
}

static bool read_routes(Settings *settings, SettingsGroup *group, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	const ScannerKey *key = scanner_key(section, "routes");
	g_auto(GStrv) list = NULL;
	value_list(section, "routes", ",;", &list);

	for (guint i = 0; list && list[i]; i++) {
		g_autofree char *reason = NULL, *route = NULL;
		if (!value_parse_route(list[i], &route, &reason))
			return scanner_error(error, file->file, key->line, "%s", reason);
		for (guint j = 0; j < settings->groups->len; j++) {
			const SettingsGroup *other = g_ptr_array_index(settings->groups, j);
			if (g_ptr_array_find_with_equal_func(other->routes, route, g_str_equal, NULL))
				return scanner_error(error, file->file, key->line, "route \"%s\" is already in group %s", route, other->name);
		}
		g_ptr_array_add(group->routes, g_steal_pointer(&route));
	}
	return true;
}

static bool read_group(Settings *settings, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	SettingsGroup *group = g_new0(SettingsGroup, 1);
	group->name = g_strdup(section->name);
	group->addresses = g_ptr_array_new_with_free_func(settings_address_free);
	group->routes = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(settings->groups, group); /* freed with the rest on failure */

	if (!value_require(file, section, "interface", error) || !value_name(file, section, "interface", &group->interface, error) ||
	    !value_bool(file, section, "elects", &group->elects, error) ||
	    !value_bool(file, section, "adverts", &group->adverts, error))
		return false;
	if (!settings_interface(settings, group->interface))
		return scanner_error(error, file->file, scanner_key(section, "interface")->line,
				     "device.conf has no [interface %s]", group->interface);
	if (!read_addresses(settings, group, file, section, error) || !read_routes(settings, group, file, section, error))
		return false;
	if (group->addresses->len == 0 && group->routes->len == 0)
		return scanner_error(error, file->file, section->line, "group %s has neither addresses nor routes", group->name);
	return true;
}

/* One group judges for all; two judges with crossed answers would hand the pair to and fro. */
static bool check_election(Settings *settings, const ScannerFile *file, GError **error)
{
	const ScannerSection *elector = NULL, *only = NULL;
	guint group_i = 0;

	for (guint i = 0; i < file->sections->len; i++) {
		const ScannerSection *section = g_ptr_array_index(file->sections, i);
		if (!g_str_equal(section->kind, "group"))
			continue;
		SettingsGroup *group = g_ptr_array_index(settings->groups, group_i++);
		only = section;
		if (settings->groups->len == 1 && !scanner_key(section, "elects"))
			group->elects = true;
		if (!group->elects)
			continue;
		if (elector)
			return scanner_error(error, file->file, scanner_key(section, "elects")->line,
					     "group %s elects already (line %u); exactly one does, the others follow it", elector->name,
					     scanner_key(elector, "elects")->line);
		elector = section;
		if (group->addresses->len == 0)
			return scanner_error(error, file->file, section->line, "group %s elects and so needs an address", group->name);
	}
	if (!only)
		return scanner_error(error, file->file, 1, "section [group NAME] is missing: the pair has no service address");
	if (!elector)
		return scanner_error(error, file->file, only->line, "no group elects; give exactly one of them elects=true");
	return true;
}

static const char *family_name(sa_family_t family)
{
	return family == AF_INET ? "IPv4" : "IPv6";
}

/* Whose router elects: as told, else IPv4 if the electing group has such an address. */
static sa_family_t default_family(const Settings *settings)
{
	return settings_group_count(settings_electing_group(settings), AF_INET) ? AF_INET : AF_INET6;
}

static bool read_family(Settings *settings, const ScannerFile *file, const ScannerSection *pair, GError **error)
{
	static const char *const families[] = { "ipv4", "ipv6", NULL };
	const SettingsGroup *group = settings_electing_group(settings);
	const ScannerKey *key = scanner_key(pair, "family"), *version = scanner_key(pair, "vrrp-version");
	guint family = default_family(settings) == AF_INET6;

	if (!value_word(file, pair, "family", families, &family, error))
		return false;
	settings->family = family ? AF_INET6 : AF_INET;
	if (!settings_group_count(group, settings->family))
		return scanner_error(error, file->file, key->line, "\"family=%s\", but group %s, which elects, has no %s address", families[family],
				     group->name, family_name(settings->family));
	if (settings->vrrp_version == 2 && settings->family == AF_INET6)
		return scanner_error(error, file->file, key ? key->line : version->line, "VRRP version 2 is for IPv4 only: an IPv6 router cannot elect");
	return true;
}

/* Whether @group has routers that advertise in @family. */
static bool advertises(const Settings *settings, const SettingsGroup *group, sa_family_t family)
{
	return group->adverts && settings_group_count(group, family) && (settings->vrrp_version != 2 || family == AF_INET);
}

/* A router id is there once on a link and per family; and an IPv4 router speaks from an address of its own. */
static bool check_router(const Settings *settings, const ScannerFile *file, const ScannerSection *section, const SettingsGroup *group,
			 sa_family_t family, GError **error)
{
	const ScannerKey *key = scanner_key(section, "adverts");

	if (!advertises(settings, group, family))
		return true;
	if (family == AF_INET && !settings_own_address(settings_interface(settings, group->interface), family))
		return scanner_error(error, file->file, scanner_key(section, "interface")->line,
				     "group %s advertises its IPv4 addresses, but device.conf gives this device no IPv4 address on interface %s",
				     group->name, group->interface);
	for (guint i = 0; i < settings->groups->len; i++) {
		const SettingsGroup *other = g_ptr_array_index(settings->groups, i);

		if (other != group && !group->elects && advertises(settings, other, family) && g_str_equal(other->interface, group->interface))
			return scanner_error(error, file->file, key->line,
					     "group %s advertises %s addresses on interface %s already; one router id is there once", other->name,
					     family_name(family), group->interface);
	}
	return true;
}

static bool check_adverts(Settings *settings, const ScannerFile *file, GError **error)
{
	guint group_i = 0;

	for (guint i = 0; i < file->sections->len; i++) {
		const ScannerSection *section = g_ptr_array_index(file->sections, i);
		const ScannerKey *key = scanner_key(section, "adverts");

		if (!g_str_equal(section->kind, "group"))
			continue;
		SettingsGroup *group = g_ptr_array_index(settings->groups, group_i++);
		if (group->elects && key && !group->adverts)
			return scanner_error(error, file->file, key->line, "group %s elects, and that is done by adverts", group->name);
		group->adverts = group->adverts || group->elects;
		if (group->adverts && !advertises(settings, group, AF_INET) && !advertises(settings, group, AF_INET6))
			return scanner_error(error, file->file, key->line, "group %s has no address that VRRP version %u can advertise", group->name,
					     settings->vrrp_version);
	}
	group_i = 0;
	for (guint i = 0; i < file->sections->len; i++) {
		const ScannerSection *section = g_ptr_array_index(file->sections, i);

		if (!g_str_equal(section->kind, "group"))
			continue;
		const SettingsGroup *group = g_ptr_array_index(settings->groups, group_i++);
		if (!check_router(settings, file, section, group, AF_INET, error) || !check_router(settings, file, section, group, AF_INET6, error))
			return false;
	}
	return true;
}

/* A question by ARP or neighbour discovery goes no farther than the link. */
static bool is_on_link(const Settings *settings, const SettingsGroup *group, const IpAddress *ip)
{
	const SettingsAddress *own = settings_own_address(settings_interface(settings, group->interface), ip->family);

	if ((ip->family == AF_INET6 && ip_is_link_local(ip)) || (own && ip_same_network(&own->ip, ip, own->prefix)))
		return true;
	for (guint i = 0; i < group->addresses->len; i++) {
		const SettingsAddress *address = g_ptr_array_index(group->addresses, i);

		if (ip_same_network(&address->ip, ip, address->prefix))
			return true;
	}
	return false;
}

static bool read_witnesses(Settings *settings, const ScannerFile *file, const ScannerSection *pair, GError **error)
{
	const SettingsGroup *group = settings_electing_group(settings);
	const ScannerKey *key = scanner_key(pair, "witness");
	g_auto(GStrv) list = NULL;

	value_list(pair, "witness", ",; \t", &list);
	for (guint i = 0; list && list[i]; i++) {
		char text[IP_TEXT_SIZE];
		g_autofree char *reason = NULL;
		IpAddress ip;

		if (!value_parse_host(list[i], AF_UNSPEC, &ip, &reason))
			return scanner_error(error, file->file, key->line, "%s", reason);
		(void)ip_text(&ip, text);
		for (guint j = 0; j < settings->witnesses->len; j++)
			if (ip_equal(&g_array_index(settings->witnesses, IpAddress, j), &ip))
				return scanner_error(error, file->file, key->line, "%s is there twice", text);
		if (is_pairs_own(settings, &ip))
			return scanner_error(error, file->file, key->line, "%s is an address of the pair; a witness is somebody else", text);
		if (!is_on_link(settings, group, &ip))
			return scanner_error(error, file->file, key->line, "%s is in no network of interface %s, where the witness is asked", text,
					     group->interface);
		if (settings->witnesses->len == SETTINGS_MAX_WITNESSES)
			return scanner_error(error, file->file, key->line, "there are at most %u witnesses", SETTINGS_MAX_WITNESSES);
		g_array_append_val(settings->witnesses, ip);
	}
	return true;
}

static bool read_revision(Settings *settings, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	return value_require(file, section, "term", error) && value_require(file, section, "device", error) &&
	       value_require(file, section, "n", error) &&
	       value_uint64(file, section, "term", &settings->revision_term, error) &&
	       value_name(file, section, "device", &settings->revision_device, error) &&
	       value_uint64(file, section, "n", &settings->revision_n, error) &&
	       value_uint(file, section, "peer-port-before", 1, 65534, &settings->port_before, error);
}

static gint compare_groups(gconstpointer a, gconstpointer b)
{
	return strcmp((*(const SettingsGroup *const *)a)->name, (*(const SettingsGroup *const *)b)->name);
}

/*
 * The settings written out in one way, defaults included. The revision is not in it: two devices that wrote the same settings
 * at different times agree.
 */
static char *hash_meaning(const Settings *settings)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_string_append_printf(text, "enabled=%d\ngroup-id=%u\nvrrp-version=%u\nadvert-interval-ms=%u\npriority=%u\nvirtual-mac=%d\nmulticast=%d\n",
			       settings->enabled, settings->group_id, settings->vrrp_version, settings->advert_interval_ms,
			       settings->priority, settings->virtual_mac, settings->multicast);
	g_string_append_printf(text, "peer-port=%u\npeer-timeout-ms=%u\nsync-interval-s=%u\ngui-port=%u\ncold-boot-wait-ms=%u\nfirst-answer-ms=%u\n",
			       settings->peer_port, settings->peer_timeout_ms, settings->sync_interval_s, settings->gui_port,
			       settings->cold_boot_wait_ms, settings->first_answer_ms);

	/* Younger keys are left out when they say what their default says: older texts keep their hash. */
	if (settings->family != default_family(settings))
		g_string_append_printf(text, "family=%s\n", family_name(settings->family));
	if (settings->recovery_limit_s != 60)
		g_string_append_printf(text, "recovery-limit-s=%u\n", settings->recovery_limit_s);
	if (settings->recordings_aside_days != 30)
		g_string_append_printf(text, "recordings-aside-days=%u\n", settings->recordings_aside_days);
	if (settings->checksum != SETTINGS_CHECKSUM_AUTO)
		g_string_append_printf(text, "checksum=%d\n", settings->checksum);
	for (guint i = 0; i < settings->witnesses->len; i++) {
		char ip[IP_TEXT_SIZE];
		g_string_append_printf(text, "witness=%s\n", ip_text(&g_array_index(settings->witnesses, IpAddress, i), ip));
	}

	if (settings->passive_reminder_min != 60)
		g_string_append_printf(text, "passive-reminder-min=%u\n", settings->passive_reminder_min);
	if (settings->drill_max_silence_ms != 5000)
		g_string_append_printf(text, "drill-max-silence-ms=%u\n", settings->drill_max_silence_ms);
	if (settings->drill_max_age_days != 90)
		g_string_append_printf(text, "drill-max-age-days=%u\n", settings->drill_max_age_days);
	g_autoptr(GPtrArray) groups = g_ptr_array_copy(settings->groups, NULL, NULL);
	g_ptr_array_set_free_func(groups, NULL);
	g_ptr_array_sort(groups, compare_groups);
	for (guint i = 0; i < groups->len; i++) {
		const SettingsGroup *group = g_ptr_array_index(groups, i);
		g_string_append_printf(text, "group=%s\ninterface=%s\nelects=%d\n", group->name, group->interface, group->elects);
		if (group->adverts != group->elects)
			g_string_append_printf(text, "adverts=%d\n", group->adverts);
		for (guint j = 0; j < group->addresses->len; j++)
			g_string_append_printf(text, "address=%s\n", ((const SettingsAddress *)g_ptr_array_index(group->addresses, j))->text);
		for (guint j = 0; j < group->routes->len; j++)
			g_string_append_printf(text, "route=%s\n", (const char *)g_ptr_array_index(group->routes, j));
	}
	notify_append_meaning(settings, text);
	return g_compute_checksum_for_string(G_CHECKSUM_SHA256, text->str, (gssize)text->len);
}

bool pair_read(Settings *settings, const char *file_name, const char *text, GError **error)
{
	g_autoptr(ScannerFile) file = scanner_read(file_name, text, rules, error);
	if (!file)
		return false;

	const ScannerSection *pair = scanner_section(file, "pair"), *revision = scanner_section(file, "revision");
	if (!pair)
		return scanner_error(error, file_name, 1, "section [pair] is missing");
	if (!read_pair(settings, file, pair, error))
		return false;
	for (guint i = 0; i < file->sections->len; i++) {
		const ScannerSection *section = g_ptr_array_index(file->sections, i);
		if (g_str_equal(section->kind, "group") && !read_group(settings, file, section, error))
			return false;
	}
	if (!check_election(settings, file, error) || !read_family(settings, file, pair, error) || !check_adverts(settings, file, error) ||
	    !read_witnesses(settings, file, pair, error) || (revision && !read_revision(settings, file, revision, error)))
		return false;
	const ScannerSection *drill = scanner_section(file, "drill");
	if (drill && (!value_uint(file, drill, "max-silence-ms", 1, 600000, &settings->drill_max_silence_ms, error) ||
		      !value_uint(file, drill, "max-age-days", 0, 3650, &settings->drill_max_age_days, error)))
		return false;
	if (!notify_read(settings, file, error))
		return false;

	settings->has_pair = true;
	settings->pair_text = g_strdup(text);
	settings->pair_hash = hash_meaning(settings);
	return true;
}

char *settings_with_revision(const char *text, guint64 term, const char *device, guint64 n, guint port_before)
{
	g_autoptr(GString) out = g_string_new(NULL);
	g_autofree char *before = port_before ? g_strdup_printf("peer-port-before=%u\n", port_before) : g_strdup("");
	g_autofree char *revision =
		g_strdup_printf("term=%" G_GUINT64_FORMAT "\ndevice=%s\nn=%" G_GUINT64_FORMAT "\n%s", term, device, n, before);
	bool inside = false, written = false;

	for (const char *line = text; *line;) {
		gsize length = strcspn(line, "\n");
		const char *next = line + length + (line[length] == '\n');
		g_autofree char *stripped = g_strstrip(g_strndup(line, length));

		if (*stripped == '[') {
			g_autofree char *kind = g_strstrip(g_strndup(stripped + 1, strcspn(stripped + 1, "]")));
			inside = g_str_equal(kind, "revision");
			if (inside && !written) {
				g_string_append_printf(out, "[revision]\n%s", revision);
				written = true;
			} else if (!inside) {
				g_string_append_len(out, line, (gssize)length);
				g_string_append_c(out, '\n');
			}
		} else if (!inside || *stripped == '#' || !*stripped) {
			g_string_append_len(out, line, (gssize)length);
			g_string_append_c(out, '\n');
		}
		line = next;
	}
	if (!written)
		g_string_append_printf(out, "%s# Written by Understudy: which version of these settings this is.\n[revision]\n%s",
				       out->len ? "\n" : "", revision);
	return g_string_free(g_steal_pointer(&out), FALSE);
}
