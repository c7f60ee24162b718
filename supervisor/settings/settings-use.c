/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/settings/settings-use.c - texts of settings on this device: how one comes into use, and the versions that were, or lost. */
#include <string.h>
#include <unistd.h>

#include "supervisor/settings/settings-order-private.h"

void settings_tell(SettingsOrders *orders, const char *name, guint8 priority, const char *text)
{
	g_message("%s", text);
	events_raise(orders->supervisor->events, EVENT_APPLICATION, name, priority, text);
}

/* ---- Versions ---- */

static void keep_text(SettingsOrders *orders, const char *file, const char *text, const Revision *revision, const char *who, const char *why)
{
	g_autoptr(GError) error = NULL;
	if (text && !versions_add(orders->versions, file, text, revision, who, why, NULL, &error))
		events_raise_once(orders->supervisor->events, "settings versions", 3600, EVENT_APPLICATION, "disk", 3, error->message);
}

void settings_orders_in_use(SettingsOrders *orders)
{
	static const Revision none;
	if (!orders)
		return;
	const char *who = orders->who ? orders->who : "", *why = orders->why ? orders->why : "found";
	Revision own = settings_own_revision(orders->supervisor);
	g_autofree char *device = NULL;
	keep_text(orders, "pair.conf", orders->supervisor->settings->pair_text, &own, who, why);
	if (!*orders->supervisor->settings_error && g_file_get_contents(SETTINGS_DIR "/device.conf", &device, NULL, NULL))
		keep_text(orders, "device.conf", device, &none, who, why);
}

/* A version that will not be used: kept under a number, and people are told which. */
void settings_set_aside(SettingsOrders *orders, const char *text, const Revision *revision, const char *why, const char *what)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *named = revision_text(revision), *event = NULL;
	guint number = 0;
	if (versions_add(orders->versions, "pair.conf", text, revision, "", why, &number, &error))
		event = g_strdup_printf("%s (%s); they are kept: understudy settings history, understudy settings restore %u", what, named, number);
	else
		event = g_strdup_printf("%s (%s); they could not be kept: %s", what, named, error->message);
	settings_tell(orders, "settings-kept", 2, event);
}

/* ---- Putting a text to use ---- */

/* All or nothing: when the whole cannot be used with it, the file is as before. */
bool settings_put_to_use(SettingsOrders *orders, const char *file, const char *text, const char *who, const char *why, GError **error)
{
	g_autofree char *path = g_build_filename(SETTINGS_DIR, file, NULL), *before = NULL;
	(void)g_file_get_contents(path, &before, NULL, NULL);
	settings_orders_in_use(orders);
	if (!store_write_now(path, text, error))
		return false;
	orders->who = who;
	orders->why = why;
	bool ok = supervisor_reload(orders->supervisor, error);
	orders->who = orders->why = NULL;
	if (ok)
		return true;
	if (!before)
		(void)unlink(path);
	if ((!before || store_write_now(path, before, NULL)) && !supervisor_reload(orders->supervisor, NULL))
		g_warning("%s: neither the new text nor the one before can be used", path);
	return false;
}

/* ---- Looking back ---- */

GVariant *settings_orders_history(SettingsOrders *orders, const char *file, guint count)
{
	g_autoptr(GPtrArray) list = versions_list(orders->versions, file, MIN(count, VERSIONS_MOST));
	g_autofree char *path = g_build_filename(SETTINGS_DIR, file, NULL), *now = NULL;
	bool found = false;
	GVariantBuilder builder;
	(void)g_file_get_contents(path, &now, NULL, NULL);
	g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
	for (guint i = 0; i < list->len; i++) {
		const Version *version = list->pdata[i];
		bool current = !found && g_strcmp0(now, version->text) == 0;
		g_autofree char *revision = revision_of_text(version->text);
		found |= current;
		g_variant_builder_open(&builder, G_VARIANT_TYPE_VARDICT);
		g_variant_builder_add(&builder, "{sv}", "number", g_variant_new_uint32(version->number));
		g_variant_builder_add(&builder, "{sv}", "time_ms", g_variant_new_int64(version->time_ms));
		g_variant_builder_add(&builder, "{sv}", "who", g_variant_new_string(version->who));
		g_variant_builder_add(&builder, "{sv}", "why", g_variant_new_string(version->why));
		g_variant_builder_add(&builder, "{sv}", "in_use", g_variant_new_boolean(current));
		g_variant_builder_add(&builder, "{sv}", "revision", g_variant_new_string(revision));
		g_variant_builder_add(&builder, "{sv}", "pair_revision",
				      g_variant_new("(tst)", version->revision.term, version->revision.device, version->revision.n));
		g_variant_builder_close(&builder);
	}
	return g_variant_builder_end(&builder);
}

bool settings_orders_version(SettingsOrders *orders, guint number, char **ret_file, char **ret_text)
{
	g_autoptr(Version) version = versions_get(orders->versions, number);
	if (!version)
		return false;
	*ret_file = g_strdup(version->file);
	*ret_text = g_strdup(version->text);
	return true;
}

