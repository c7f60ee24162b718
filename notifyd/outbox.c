/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/outbox.c - back-off, expiry, answers, and whose task a message is. */
#include "outbox.h"

#include <string.h>

#define MAX_WORDS 500

const char *const outbox_states[OUTBOX_N_STATES + 1] = { "waiting", "delivered", "refused", "expired", NULL };
const char *const outbox_outcomes[OUTBOX_N_OUTCOMES + 1] = { "accepted", "retry", "refused", NULL };

static const gint64 delays_ms[OUTBOX_DELAYS] = { 30000, 60000, 120000, 300000, 900000, 3600000 };

OutboxRow *outbox_row_new(const char *target, const char *const *to, const char *text, const char *owner, gint64 now_ms)
{
	OutboxRow *row = g_new0(OutboxRow, 1);

	row->message = g_uuid_string_random();
	row->target = g_strdup(target);
	row->to = g_strdupv((char **)to);
	row->text = g_strdup(text);
	row->owner = g_strdup(owner);
	row->words = g_strdup("");
	row->created_ms = row->due_ms = now_ms;
	return row;
}

void outbox_row_free(OutboxRow *row)
{
	if (!row)
		return;
	g_free(row->message);
	g_free(row->target);
	g_strfreev(row->to);
	g_free(row->text);
	g_free(row->owner);
	g_free(row->words);
	g_free(row);
}

gint64 outbox_delay_ms(guint failures, double random)
{
	gint64 delay_ms = delays_ms[CLAMP(failures, 1, OUTBOX_DELAYS) - 1];

	return delay_ms + (gint64)((double)delay_ms * 0.2 * CLAMP(random, 0, 1));
}

bool outbox_is_due(gint64 due_ms, gint64 now_ms)
{
	return due_ms <= now_ms || due_ms - now_ms > outbox_delay_ms(OUTBOX_DELAYS, 1);
}

bool outbox_is_expired(gint64 created_ms, gint64 now_ms)
{
	return now_ms - created_ms >= OUTBOX_EXPIRY_MS;
}

gint64 outbox_shifted_ms(gint64 time_ms, gint64 step_ms, gint64 latest_ms)
{
	return MIN(time_ms + step_ms, latest_ms);
}

bool outbox_parse_line(const char *line, OutboxOutcome *ret_outcome, char **ret_recipient, char **ret_words)
{
	g_auto(GStrv) parts = g_strsplit(line, "\t", 3);

	if (g_strv_length(parts) != 3 || !*parts[1])
		return false;
	for (guint i = 0; i < OUTBOX_N_OUTCOMES; i++) {
		if (!g_str_equal(parts[0], outbox_outcomes[i]))
			continue;
		g_autofree char *valid = g_utf8_make_valid(parts[2], -1);
		const char *end = valid;

		for (char *c = valid; *c; c++)
			if (g_ascii_iscntrl(*c))
				*c = ' ';
		while (*end && g_utf8_next_char(end) - valid <= MAX_WORDS)
			end = g_utf8_next_char(end);
		*ret_outcome = (OutboxOutcome)i;
		*ret_recipient = g_strdup(parts[1]);
		*ret_words = g_strndup(valid, (gsize)(end - valid));
		return true;
	}
	return false;
}

bool outbox_is_login(const char *target, const char *words)
{
	/* RFC 4954: 530 authentication required, 534 too weak, 535 invalid, 538 encryption required. RFC 9110: 401, 407. */
	static const char *const of_mail[] = { "530", "534", "535", "538", NULL };
	static const char *const of_sms[] = { "401", "407", NULL };
	const char *const *codes = g_str_has_prefix(target, "mail:") ? of_mail : g_str_has_prefix(target, "sms:") ? of_sms : NULL;
	const char *digits = words;

	if (!codes)
		return false;
	while (*digits && !g_ascii_isdigit(*digits)) /* "HTTP/1.1 401 Unauthorized": the code is the first number of three digits */
		digits++;
	while (*digits) {
		gsize n = strspn(digits, "0123456789");

		if (n == 3) {
			for (; *codes; codes++)
				if (strncmp(digits, *codes, 3) == 0)
					return true;
			return false;
		}
		digits += n;
		while (*digits && !g_ascii_isdigit(*digits))
			digits++;
	}
	return false;
}

bool outbox_takes(const OutboxRow *here, const OutboxRow *there)
{
	if (here->state != OUTBOX_WAITING)
		return false;
	if (there->state != OUTBOX_WAITING || there->hand > here->hand)
		return true;
	if (there->hand < here->hand)
		return false;
	if (g_str_equal(there->owner, here->owner)) /* the same one's, as it was and as it is */
		return there->attempts > here->attempts || g_strv_length(there->to) < g_strv_length(here->to);
	return strcmp(there->owner, here->owner) > 0;
}

bool outbox_takes_over(const OutboxPlace *place)
{
	return place->known && place->leads && !place->connected;
}

bool outbox_hands_over(const OutboxPlace *place)
{
	return place->known && !place->leads && place->connected && place->peer_leads && place->peer && *place->peer;
}
