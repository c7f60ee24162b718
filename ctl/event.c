/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/event.c - understudy event raise: for scripts. */
#include "commands.h"

typedef struct {
	int priority;
	gint64 time_ms;
	char *description, *reference, *about, *key;
	gboolean recovery;
} Raised;

static GVariant *options_of(const Raised *raised)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	if (raised->about)
		g_variant_builder_add(&builder, "{sv}", "about", g_variant_new_string(raised->about));
	if (raised->key)
		g_variant_builder_add(&builder, "{sv}", "key", g_variant_new_string(raised->key));
	if (raised->recovery)
		g_variant_builder_add(&builder, "{sv}", "recovery", g_variant_new_boolean(TRUE));
	if (raised->time_ms >= 0)
		g_variant_builder_add(&builder, "{sv}", "time_ms", g_variant_new_int64(raised->time_ms));
	return g_variant_builder_end(&builder);
}

static CtlExit raise_event(Ctl *ctl, const char *application, const char *name, const Raised *raised)
{
	const char *const texts[] = { application, name, raised->description, raised->reference, raised->about, raised->key };
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) answer = NULL;
	guint64 id;

	/* The bus takes nothing else. */
	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
		if (texts[i] && !g_utf8_validate(texts[i], -1, NULL))
			return ctl_complain(ctl, CTL_BAD_INPUT, "event: what it says is not UTF-8");
	answer = ctl_call(ctl, CTL_NOTIFY, NULL, CTL_NOTIFY_INTERFACE, "Raise",
			  g_variant_new("(ssyss@a{sv})", application, name, (guint8)raised->priority, raised->description ? raised->description : "",
					raised->reference ? raised->reference : "", options_of(raised)),
			  CTL_CALL_TIMEOUT_MS, &error);
	if (!answer)
		return ctl_fail(ctl, CTL_NOTIFY, error);
	g_variant_get(answer, "(t)", &id);
	if (ctl->json)
		ctl_print_json(g_variant_new_uint64(id));
	else
		ctl_printf("%" G_GUINT64_FORMAT "\n", id);
	return CTL_OK;
}

CtlExit ctl_event(Ctl *ctl, int argc, char **argv)
{
	Raised raised = { .priority = 1, .time_ms = -1 };
	const GOptionEntry entries[] = {
		{ "priority", 'p', 0, G_OPTION_ARG_INT, &raised.priority, "1 (lowest, the default) to 3", "1|2|3" },
		{ "description", 'd', 0, G_OPTION_ARG_STRING, &raised.description, "What has happened, in words", "TEXT" },
		{ "reference", 0, 0, G_OPTION_ARG_STRING, &raised.reference, "What to look at", "TEXT" },
		{ "about", 0, 0, G_OPTION_ARG_STRING, &raised.about, "What it is about: by it events are folded, and recover", "THING" },
		{ "recovery", 0, 0, G_OPTION_ARG_NONE, &raised.recovery, "What it is about is well again", NULL },
		{ "key", 0, 0, G_OPTION_ARG_STRING, &raised.key, "The same key is stored once, so a script may repeat itself", "KEY" },
		{ "time-ms", 0, 0, G_OPTION_ARG_INT64, &raised.time_ms, "When it happened, in ms since 1970 (now)", "MS" },
		{ 0 },
	};
	CtlExit code;

	if (!ctl_options(ctl, &argc, &argv, entries, "raise APPLICATION NAME",
			 "Raises an event, and prints its number when it is on disk. Who is told of it: the rules in pair.conf.", 3, 3))
		code = CTL_BAD_INPUT;
	else if (!g_str_equal(argv[1], "raise"))
		code = ctl_complain(ctl, CTL_BAD_INPUT, "event: it is raise, not \"%s\"", argv[1]);
	else if (raised.priority < 1 || raised.priority > 3)
		code = ctl_complain(ctl, CTL_BAD_INPUT, "event: --priority is 1 to 3");
	else
		code = raise_event(ctl, argv[2], argv[3], &raised);
	g_free(raised.description);
	g_free(raised.reference);
	g_free(raised.about);
	g_free(raised.key);
	return code;
}
