/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/pairing/rotation.c - the table of rotation.h. */
#include "syncd/pairing/rotation.h"

#include <stdbool.h>

static bool same(const char *a, const char *b)
{
	return a && b && *a && g_str_equal(a, b);
}

guint sync_rotation_step(const SyncRotationState *state, const SyncRotationWord *word)
{
	bool is_pin = same(word->key, state->pin);
	bool is_next = same(word->key, state->pin_next);
	guint steps = 0;

	/* An old word, of a key that was given up since, must not bring that key back. */
	if (!is_pin && !is_next)
		return 0;
	if (is_next)
		steps |= SYNC_ROTATION_NARROW;
	const char *accepted = is_next ? NULL : state->pin_next; /* beside its key, after that */
	if (word->next && *word->next && !same(word->next, word->key) && !same(word->next, accepted))
		steps |= SYNC_ROTATION_ACCEPT;
	for (guint i = 0; word->accepts && word->accepts[i]; i++)
		if (same(word->accepts[i], state->next))
			steps |= SYNC_ROTATION_TURN;
	return steps;
}
