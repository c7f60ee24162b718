/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/settings/settings-service.c - settings on the bus. */
#include "supervisor/settings/settings-service.h"

#include <string.h>

#include "settings/scanner.h"
#include "supervisor/settings/revision.h"
#include "supervisor/share.h"
#include "supervisor/supervisor.h"

/* Files are named from a short list: the bus opens no others. */
static char *path_of(const char *file)
{
	static const char prefix[] = "applications.d/";
	if (strcmp(file, "pair.conf") == 0 || strcmp(file, "device.conf") == 0)
		return g_build_filename(SETTINGS_DIR, file, NULL);
	if (!g_str_has_prefix(file, prefix) || !g_str_has_suffix(file, ".conf"))
		return NULL;
	g_autofree char *name = g_strndup(file + strlen(prefix), strlen(file) - strlen(prefix) - MIN(strlen(file) - strlen(prefix), strlen(".conf")));
	return scanner_is_name(name) ? g_build_filename(SETTINGS_DIR, file, NULL) : NULL;
}

static void refuse_name(BusCall *call)
{
	bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "the files are pair.conf, device.conf and applications.d/NAME.conf");
}

void settings_service_get(BusCall *call, GVariant *args, gpointer user_data)
{
	const char *file;
	g_variant_get_child(args, 0, "&s", &file);
	g_autofree char *path = path_of(file), *text = NULL;
	g_autoptr(GError) error = NULL;
	if (!path) {
		refuse_name(call);
		return;
	}
	if (!g_file_get_contents(path, &text, NULL, &error) && !g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
		bus_call_fail_literal(call, BUS_ERROR_FAILED, "%s", error->message);
		return;
	}
	if (!text && !g_str_has_prefix(file, "pair")) {
		bus_call_fail_literal(call, BUS_ERROR_NOT_FOUND, "there is no %s", file);
		return;
	}
	if (text && !g_utf8_validate(text, -1, NULL)) {
		bus_call_fail_literal(call, BUS_ERROR_FAILED, "%s is not UTF-8 text", file);
		return;
	}
	g_autofree char *revision = revision_of_text(text ? text : "");
	bus_call_reply(call, g_variant_new("(ss)", text ? text : "", revision));
}

typedef struct {
	Supervisor *supervisor;
	BusCall *call;
	GVariant *result;
} Asked;

static Asked *asked_new(Supervisor *supervisor, BusCall *call)
{
	Asked *asked = g_new0(Asked, 1);
	*asked = (Asked){ .supervisor = supervisor, .call = call };
	return asked;
}

static void answer(gpointer user_data)
{
	g_autofree Asked *asked = user_data;
	bus_call_reply(asked->call, g_variant_new("(@a{sv})", asked->result));
	g_variant_unref(asked->result);
}

static void on_changed(GVariant *result, const GError *error, gpointer user_data)
{
	Asked *asked = user_data;
	if (error) {
		bus_call_fail(asked->call, error);
		g_free(asked);
		return;
	}
	/* Who asked may ask notifyd next, on another connection, for what the settings name. */
	asked->result = g_variant_ref(result);
	share_follow(asked->supervisor->share, answer, asked);
}

void settings_service_set(BusCall *call, GVariant *args, gpointer user_data)
{
	Supervisor *supervisor = user_data;
	const char *file, *text, *base, *why = "";
	g_autoptr(GVariant) options = NULL;
	gboolean alone = FALSE, dry_run = FALSE;
	g_variant_get(args, "(&s&s&s@a{sv})", &file, &text, &base, &options);
	(void)g_variant_lookup(options, "alone", "b", &alone);
	(void)g_variant_lookup(options, "dry_run", "b", &dry_run);
	(void)g_variant_lookup(options, "reason", "&s", &why);
	settings_order_change(supervisor->settings_orders,
			      &(SettingsChange){ .file = file, .text = text, .base = base, .who = bus_call_caller(call), .why = why, .alone = alone,
						 .dry_run = dry_run },
			      on_changed, asked_new(supervisor, call));
}

void settings_service_reload(BusCall *call, GVariant *args, gpointer user_data)
{
	Supervisor *supervisor = user_data;
	settings_order_reload(supervisor->settings_orders, bus_call_caller(call), on_changed, asked_new(supervisor, call));
}

void settings_service_history(BusCall *call, GVariant *args, gpointer user_data)
{
	Supervisor *supervisor = user_data;
	const char *file;
	guint count;
	g_variant_get(args, "(&su)", &file, &count);
	if (strcmp(file, "pair.conf") != 0 && strcmp(file, "device.conf") != 0) {
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "versions are kept of pair.conf and device.conf");
		return;
	}
	GVariant *list = settings_orders_history(supervisor->settings_orders, file, count);
	bus_call_reply(call, g_variant_new_tuple(&list, 1));
}

void settings_service_version(BusCall *call, GVariant *args, gpointer user_data)
{
	Supervisor *supervisor = user_data;
	g_autofree char *file = NULL, *text = NULL;
	guint number;
	g_variant_get(args, "(u)", &number);
	if (settings_orders_version(supervisor->settings_orders, number, &file, &text))
		bus_call_reply(call, g_variant_new("(ss)", file, text));
	else
		bus_call_fail_literal(call, BUS_ERROR_NOT_FOUND, "there is no version %u; see understudy settings history", number);
}
