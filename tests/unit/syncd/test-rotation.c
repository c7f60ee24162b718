/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-rotation.c - every row of the table, and two devices that rotate as they like while words come late, twice, or never. */
#include <stdbool.h>
#include <string.h>

#include "syncd/pairing/rotation.h"

static const struct {
	const char *name;
	SyncRotationState state;
	const char *key, *next, *accepts[3];
	guint steps;
} ROWS[] = {
	{ "at rest", { "K", NULL, "P", NULL }, "P", "", { "K" }, 0 },
	{ "not yet known", { "K", "K2", "P", NULL }, "P", "", { "K" }, 0 },
	{ "accepted", { "K", "K2", "P", NULL }, "P", "", { "K", "K2" }, SYNC_ROTATION_TURN },
	{ "told of a next one", { "K", NULL, "P", NULL }, "P", "P2", { "K" }, SYNC_ROTATION_ACCEPT },
	{ "told again", { "K", NULL, "P", "P2" }, "P", "P2", { "K" }, 0 },
	{ "has not turned, silent of it", { "K", NULL, "P", "P2" }, "P", "", { "K" }, 0 },
	{ "turned", { "K", NULL, "P", "P2" }, "P2", "", { "K" }, SYNC_ROTATION_NARROW },
	{ "turned, and the next but one", { "K", NULL, "P", "P2" }, "P2", "P3", { "K" }, SYNC_ROTATION_NARROW | SYNC_ROTATION_ACCEPT },
	{ "another next one", { "K", NULL, "P", "P2" }, "P", "P3", { "K" }, SYNC_ROTATION_ACCEPT },
	{ "an old word", { "K", NULL, "P2", NULL }, "P", "P2", { "K" }, 0 },
	{ "an old word that accepts", { "K", "K2", "P2", NULL }, "P", "", { "K2" }, 0 },
	{ "both at once", { "K", "K2", "P", NULL }, "P", "P2", { "K", "K2" }, SYNC_ROTATION_TURN | SYNC_ROTATION_ACCEPT },
	{ "the key as its own next", { "K", NULL, "P", NULL }, "P", "P", { "K" }, 0 },
	{ "nothing said", { "K", "K2", "P", "P2" }, NULL, NULL, { NULL }, 0 },
};

static void test_table(void)
{
	for (guint i = 0; i < G_N_ELEMENTS(ROWS); i++) {
		SyncRotationWord word = { ROWS[i].key, ROWS[i].next, ROWS[i].accepts };

		g_test_message("%s", ROWS[i].name);
		g_assert_cmpuint(sync_rotation_step(&ROWS[i].state, &word), ==, ROWS[i].steps);
	}
}

/* ---- two devices: what is on disk, and every word that was ever told ---- */

enum { WORDS = 4096, ROUNDS = 400, SEEDS = 300 };

typedef struct {
	char key[8], next[8], accepts[2][8];
} Word;

typedef struct {
	char key[8], next[8], pin[8], pin_next[8];
	guint made; /* keys */
	Word words[WORDS];
	guint n_words;
} Device;

static bool accepts(const Device *device, const char *key)
{
	return g_str_equal(device->pin, key) || g_str_equal(device->pin_next, key);
}

static void tell(Device *device)
{
	Word *word = &device->words[device->n_words++];

	g_assert_cmpuint(device->n_words, <, WORDS);
	g_strlcpy(word->key, device->key, sizeof word->key);
	g_strlcpy(word->next, device->next, sizeof word->next);
	g_strlcpy(word->accepts[0], device->pin, sizeof word->accepts[0]);
	g_strlcpy(word->accepts[1], device->pin_next, sizeof word->accepts[1]);
}

static void rotate(Device *device, char letter)
{
	if (!*device->next)
		g_snprintf(device->next, sizeof device->next, "%c%u", letter, ++device->made);
	tell(device);
}

/* @survive: how many of the steps it makes before it is killed. */
static void hear(Device *device, const Word *word, guint survive)
{
	const char *list[] = { word->accepts[0], word->accepts[1], NULL };
	SyncRotationState state = { device->key, device->next, device->pin, device->pin_next };
	SyncRotationWord said = { word->key, word->next, list };
	guint steps = sync_rotation_step(&state, &said);

	/* The record is one file: narrowing and accepting is one rename. */
	if (steps & (SYNC_ROTATION_NARROW | SYNC_ROTATION_ACCEPT) && survive-- > 0) {
		if (steps & SYNC_ROTATION_NARROW) {
			g_strlcpy(device->pin, device->pin_next, sizeof device->pin);
			*device->pin_next = '\0';
		}
		if (steps & SYNC_ROTATION_ACCEPT)
			g_strlcpy(device->pin_next, word->next, sizeof device->pin_next);
	}
	if (steps & SYNC_ROTATION_TURN && survive > 0) {
		g_strlcpy(device->key, device->next, sizeof device->key);
		*device->next = '\0';
	}
	tell(device);
}

static void test_any_order(void)
{
	static Device a, b;

	for (guint seed = 0; seed < SEEDS; seed++) {
		g_autoptr(GRand) rand = g_rand_new_with_seed(seed);

		memset(&a, 0, sizeof a);
		memset(&b, 0, sizeof b);
		g_strlcpy(a.key, "a0", sizeof a.key);
		g_strlcpy(b.key, "b0", sizeof b.key);
		g_strlcpy(a.pin, "b0", sizeof a.pin);
		g_strlcpy(b.pin, "a0", sizeof b.pin);
		tell(&a);
		tell(&b);
		for (guint i = 0; i < ROUNDS; i++) {
			Device *one = g_rand_boolean(rand) ? &a : &b, *other = one == &a ? &b : &a;

			if (g_rand_int_range(rand, 0, 10) == 0)
				rotate(one, one == &a ? 'a' : 'b');
			else /* any word of any time, most often a late one */
				hear(one, &other->words[g_rand_boolean(rand) ? other->n_words - 1 : (guint)g_rand_int_range(rand, 0, other->n_words)],
				     (guint)g_rand_int_range(rand, 0, 4));
			g_assert_true(accepts(&a, b.key));
			g_assert_true(accepts(&b, a.key));
		}
		/* Left alone, they come to rest with one key each. */
		for (guint i = 0; i < 8; i++) {
			hear(&a, &b.words[b.n_words - 1], 2);
			hear(&b, &a.words[a.n_words - 1], 2);
		}
		g_assert_cmpstr(a.next, ==, "");
		g_assert_cmpstr(b.next, ==, "");
		g_assert_cmpstr(a.pin, ==, b.key);
		g_assert_cmpstr(b.pin, ==, a.key);
		g_assert_cmpstr(a.pin_next, ==, "");
		g_assert_cmpstr(b.pin_next, ==, "");
		g_assert_cmpuint(a.made, >, 0);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sync/rotation/table", test_table);
	g_test_add_func("/sync/rotation/any-order", test_any_order);
	return g_test_run();
}
