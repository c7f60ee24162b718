/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/rules/strangers.c - a small table of (address, cause, count). */
#include "vrrpd/rules/strangers.h"

#include <string.h>

#define MAX_STRANGERS 64
#define TELL_EVERY_US (60 * G_USEC_PER_SEC)
#define MAX_TOLD 16 /* of all of them together in that time: sources are easily invented, and each one told is a line, a signal, an event */

typedef struct {
	IpAddress address;
	const char *cause;
	guint64 count;
	gint64 seen_us, told_us;
} Stranger;

struct VrrpStrangers {
	Stranger table[MAX_STRANGERS];
	guint n;
	gint64 window_us; /* since when n_told counts */
	guint n_told;
};

VrrpStrangers *vrrp_strangers_new(void)
{
	return g_new0(VrrpStrangers, 1);
}

void vrrp_strangers_free(VrrpStrangers *strangers)
{
	g_free(strangers);
}

bool vrrp_strangers_note(VrrpStrangers *strangers, IpAddress address, const char *cause, guint n, gint64 now_us, guint64 *ret_count)
{
	Stranger *entry = NULL, *oldest = &strangers->table[0];

	for (guint i = 0; i < strangers->n && !entry; i++) {
		if (ip_equal(&strangers->table[i].address, &address) && strcmp(strangers->table[i].cause, cause) == 0)
			entry = &strangers->table[i];
		else if (strangers->table[i].seen_us < oldest->seen_us)
			oldest = &strangers->table[i];
	}
	if (!entry) {
		entry = strangers->n < MAX_STRANGERS ? &strangers->table[strangers->n++] : oldest;
		*entry = (Stranger){ .address = address, .cause = cause };
	}
	entry->count += n;
	entry->seen_us = now_us;
	*ret_count = entry->count;
	if (entry->told_us != 0 && now_us - entry->told_us < TELL_EVERY_US)
		return false;
	if (now_us - strangers->window_us >= TELL_EVERY_US) {
		strangers->window_us = now_us;
		strangers->n_told = 0;
	}
	if (strangers->n_told >= MAX_TOLD)
		return false;
	strangers->n_told++;
	entry->told_us = now_us;
	return true;
}
