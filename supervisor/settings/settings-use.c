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

void settings_orders_in_use(SettingsOrders *orders)
{
	static const Revision none;
	if (!orders)
		return;
	const char *who = orders->who ? orders->who : "", *why = orders->why ? orders->why : "found";
	Revision own = settings_own_revision(orders->supervisor);
	g_autofree char *device = NULL;
	if (orders->supervisor->settings->pair_text)
		(void)versions_add(orders->versions, "pair.conf", orders->supervisor->settings->pair_text, &own, who, why);
	if (!*orders->supervisor->settings_error && g_file_get_contents(SETTINGS_DIR "/device.conf", &device, NULL, NULL))
		(void)versions_add(orders->versions, "device.conf", device, &none, who, why);
}

/* A version that will not be used: kept under a number, and people are told which. */
void settings_set_aside(SettingsOrders *orders, const char *text, const Revision *revision, const char *why, const char *what)
{
	g_autofree char *named = revision_text(revision);
	guint number = versions_add(orders->versions, "pair.conf", text, revision, "", why);
	g_autofree char *event = g_strdup_printf("%s (%s); they are kept: understudy settings history, understudy settings restore %u", what, named,
						 number);
	settings_tell(orders, "settings-kept", 2, event);
}

/* ---- Putting a text to use ---- */

struct SettingsUse {
	SettingsOrders *orders;
	char *path, *text, *who, *why;
	char *before;   /* NULL: there was none */
	GError *error;  /* why the new text cannot be used */
	SettingsUsedCb done;
	gpointer user_data;
};

static void use_end(SettingsUse *use)
{
	SettingsOrders *orders = use->orders;
	orders->use = NULL;
	use->done(use->error, use->user_data);
	g_free(use->path);
	g_free(use->text);
	g_free(use->who);
	g_free(use->why);
	g_free(use->before);
	g_clear_error(&use->error);
	g_free(use);
	settings_agree_go_on(orders);
	settings_order_go_on(orders);
}

static void use_back(SettingsUse *use)
{
	if (!supervisor_reload(use->orders->supervisor, NULL))
		g_warning("%s: neither the new text nor the one before can be used", use->path);
	use_end(use);
}

static void on_written_back(const GError *error, gpointer user_data)
{
	use_back(user_data);
}

static void on_written(const GError *error, gpointer user_data)
{
	SettingsUse *use = user_data;
	SettingsOrders *orders = use->orders;
	if (error) {
		use->error = g_error_copy(error);
		use_end(use);
		return;
	}
	orders->who = use->who;
	orders->why = use->why;
	bool ok = supervisor_reload(orders->supervisor, &use->error);
	orders->who = orders->why = NULL;
	if (ok) {
		use_end(use);
	} else if (use->before) {
		store_write_then(orders->supervisor->settings_store, use->path, use->before, on_written_back, use);
	} else {
		(void)unlink(use->path);
		use_back(use);
	}
}

void settings_put_to_use(SettingsOrders *orders, const char *file, const char *text, const char *who, const char *why, SettingsUsedCb done,
			 gpointer user_data)
{
	SettingsUse *use = g_new0(SettingsUse, 1);
	g_assert(!orders->use);
	*use = (SettingsUse){ .orders = orders, .done = done, .user_data = user_data };
	use->path = g_build_filename(SETTINGS_DIR, file, NULL);
	use->text = g_strdup(text);
	use->who = g_strdup(who);
	use->why = g_strdup(why);
	(void)g_file_get_contents(use->path, &use->before, NULL, NULL);
	orders->use = use;
	settings_orders_in_use(orders);
	store_write_then(orders->supervisor->settings_store, use->path, text, on_written, use);
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

