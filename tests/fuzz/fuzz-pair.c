/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-pair.c - pair.conf, which comes from the other device. */
#include "fuzz.h"
#include "settings-texts.h"
#include "settings/settings.h"

static const char *const none[] = { NULL };

static void check_values(const Settings *settings)
{
	guint electing = 0;

	g_assert_true(settings->has_pair && settings->pair_text);
	g_assert_cmpuint(strlen(settings->pair_hash), ==, 64);
	g_assert_true(settings->group_id >= 1 && settings->group_id <= 255);
	g_assert_true(settings->vrrp_version == 2 || settings->vrrp_version == 3);
	g_assert_true(settings->priority >= 1 && settings->priority <= 254);
	g_assert_cmpuint(settings->advert_interval_ms % (settings->vrrp_version == 2 ? 1000 : 10), ==, 0);
	g_assert_cmpuint(settings->advert_interval_ms, >, 0);
	for (guint i = 0; i < settings->groups->len; i++) {
		const SettingsGroup *group = settings->groups->pdata[i];

		electing += group->elects;
		g_assert_nonnull(settings_interface(settings, group->interface));
		g_assert_cmpuint(settings_group_count(group, AF_INET), <=, SETTINGS_MAX_ADDRESSES);
		g_assert_cmpuint(settings_group_count(group, AF_INET6), <=, SETTINGS_MAX_ADDRESSES);
		g_assert_true(group->adverts || !group->elects);
		for (guint a = 0; a < group->addresses->len; a++) {
			const SettingsAddress *address = group->addresses->pdata[a];

			g_assert_true(g_hostname_is_ip_address(address->host));
			g_assert_cmpuint(address->prefix, <=, 8 * ip_length(&address->ip));
		}
	}
	g_assert_cmpuint(electing, ==, settings->groups->len ? 1 : 0);
	g_assert_cmpuint(settings_group_count(settings_electing_group(settings), settings->family), >, 0);
	g_assert_true(settings->vrrp_version == 3 || settings->family == AF_INET);
	g_assert_cmpuint(settings->witnesses->len, <=, SETTINGS_MAX_WITNESSES);
}

/* What notifyd and the programs that deliver may rely on. */
static void check_notify(const Settings *settings)
{
	for (guint i = 0; i < settings->targets->len; i++) {
		const SettingsTarget *target = settings->targets->pdata[i];
		g_auto(GStrv) to = settings_recipients(target->kind, (const char *const *)target->to);

		g_assert_true(settings_target(settings, target->id) == target);
		if (target->kind == SETTINGS_TARGET_SNMP)
			g_assert_cmpstr(target->to[0], ==, settings_target_key(target, "host"));
		else
			g_assert_cmpuint(g_strv_length(to), ==, g_strv_length(target->to));
		g_assert_cmpuint(g_strv_length(target->keys) % 2, ==, 0);
		g_assert_true(target->kind > SETTINGS_TARGET_SNMP || *target->to);
		g_assert_true(target->kind > SETTINGS_TARGET_SNMP || target->per_hour);
		if (target->kind == SETTINGS_TARGET_LED)
			g_assert_null(strchr(settings_target_key(target, "led"), '/'));
	}
	for (guint i = 0; i < settings->rules->len; i++) {
		const SettingsRule *rule = settings->rules->pdata[i];

		g_assert_cmpuint(rule->targets->len, >, 0);
		g_assert_true(rule->min_priority >= 1 && rule->min_priority <= 3);
		g_assert_true(!rule->flap_changes == !rule->flap_s);
	}
}

/* A new revision changes nothing but the revision. */
static void check_revision(const Settings *settings)
{
	g_autofree char *text = settings_with_revision(settings->pair_text, 7, "pbx-right", 9, 0);
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) again = settings_parse(device_text, text, none, none, &error);

	g_assert_no_error(error);
	g_assert_cmpuint(again->revision_term, ==, 7);
	g_assert_cmpstr(again->revision_device, ==, "pbx-right");
	g_assert_cmpuint(again->revision_n, ==, 9);
	g_assert_cmpuint(again->groups->len, ==, settings->groups->len);
	g_assert_cmpuint(again->group_id, ==, settings->group_id);
	g_assert_cmpstr(again->pair_hash, ==, settings->pair_hash);
	g_autofree char *twice = settings_with_revision(text, 7, "pbx-right", 9, 0);
	g_assert_cmpstr(twice, ==, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = fuzz_text(data, size);
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) settings = settings_parse(device_text, text, none, none, &error);

	if (!settings) {
		fuzz_check_error(error);
		return 0;
	}
	g_assert_no_error(error);
	check_values(settings);
	check_notify(settings);
	check_revision(settings);
	return 0;
}
