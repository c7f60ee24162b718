/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/rules-text.c - a message of the rules in words. */
#include <string.h>

#include "rules.h"

#define SUBJECT_CHARS 160

/* "90 s", "15 min", "2 h" */
static char *span_text(guint span_s)
{
	if (span_s < 120)
		return g_strdup_printf("%u s", span_s);
	return span_s < 7200 ? g_strdup_printf("%u min", (span_s + 30) / 60) : g_strdup_printf("%u h", (span_s + 1800) / 3600);
}

static const char *plural(guint n)
{
	return n == 1 ? "" : "s";
}

char *rules_subject(const RulesDelivery *delivery, const char *device_name)
{
	const NotifyEvent *event = delivery->event;
	g_autofree char *first = g_strndup(event->description, strcspn(event->description, "\n"));
	g_autoptr(GString) text = g_string_new(NULL);

	g_string_append_printf(text, "%s: ", device_name);
	switch (delivery->kind) {
	case RULES_EVENT:
	case RULES_N_KINDS:
		break;
	case RULES_RECOVERY:
		g_string_append(text, "well again: ");
		break;
	case RULES_FOLDED:
		g_string_append_printf(text, "%u more: ", delivery->n);
		break;
	case RULES_FLAPPING:
		g_string_append(text, "flapping: ");
		break;
	case RULES_STEADY:
		g_string_append(text, "steady again: ");
		break;
	case RULES_SUPPRESSED:
		g_string_append_printf(text, "%u more message%s suppressed, the last: ", delivery->n, plural(delivery->n));
		break;
	}
	g_string_append_printf(text, "%s %s%s%s", event->application, event->name, *first ? ": " : "", first);
	if (g_utf8_strlen(text->str, -1) <= SUBJECT_CHARS)
		return g_string_free(g_steal_pointer(&text), FALSE);
	g_autofree char *cut = g_utf8_substring(text->str, 0, SUBJECT_CHARS - 3);
	return g_strconcat(cut, "...", NULL);
}

static void append_fact(GString *text, const char *what, const char *value)
{
	if (*value)
		g_string_append_printf(text, "%-12s %s\n", what, value);
}

/* What happened, and beside it what the message is, when it is more than that one event. */
static void append_kind(GString *text, const RulesDelivery *delivery)
{
	g_autofree char *span = span_text(delivery->span_s);

	switch (delivery->kind) {
	case RULES_EVENT:
	case RULES_N_KINDS:
		break;
	case RULES_RECOVERY:
		if (delivery->n)
			g_string_append_printf(text, "Before this, %u more event%s like the one that was told.\n\n", delivery->n, plural(delivery->n));
		break;
	case RULES_FOLDED:
		g_string_append_printf(text, "%u more event%s of this kind within %s. The last:\n\n", delivery->n, plural(delivery->n), span);
		break;
	case RULES_FLAPPING:
		g_string_append_printf(text, "This has changed %u times within %s. More changes are counted, and told when it is steady. The last:\n\n",
				       delivery->n, span);
		break;
	case RULES_STEADY:
		g_string_append_printf(text, "This is steady again, after %u more change%s within %s. The last:\n\n", delivery->n, plural(delivery->n), span);
		break;
	case RULES_SUPPRESSED:
		g_string_append_printf(text, "%u more message%s suppressed within %s, because there were too many for this target. All events: "
					     "understudy events. The last:\n\n",
				       delivery->n, delivery->n == 1 ? " was" : "s were", span);
		break;
	}
}

char *rules_body(const RulesDelivery *delivery, const char *device_name)
{
	const NotifyEvent *event = delivery->event;
	g_autoptr(GDateTime) when = g_date_time_new_from_unix_local(event->time_ms / 1000);
	g_autofree char *time = when ? g_date_time_format(when, "%Y-%m-%d %H:%M:%S %z") : g_strdup("");
	g_autofree char *priority = g_strdup_printf("%u", event->priority);
	g_autoptr(GString) text = g_string_new(NULL);

	append_kind(text, delivery);
	if (*event->description)
		g_string_append_printf(text, "%s\n\n", event->description);
	append_fact(text, "Event:", event->name);
	append_fact(text, "Application:", event->application);
	append_fact(text, "Priority:", priority);
	append_fact(text, "Time:", time);
	append_fact(text, "Reference:", event->reference);
	append_fact(text, "Device:", event->device);
	append_fact(text, "Told by:", device_name);
	if (delivery->silent_s) {
		g_autofree char *span = span_text(delivery->silent_s);

		g_string_append_printf(text, "\nThe limit for this target is reached. What follows is counted, and told in one message in %s.\n", span);
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}
