/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz.h - what a fuzz target is: one function that gets any bytes, and aborts when the parser breaks a promise. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Called by replay.c and by libFuzzer alike. Always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* @data as a text of its own, so that reading past its end is seen; a NUL ends it, as it ends what g_file_get_contents() gives. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	size_t length = nul ? (size_t)(nul - data) : size;
	char *text = g_malloc(length + 1);

	if (length)
		memcpy(text, data, length);
	text[length] = '\0';
	return text;
}

/* A refusal says why, in a text that may travel over D-Bus. */
static inline void fuzz_check_error(const GError *error)
{
	g_assert_nonnull(error);
	g_assert_cmpint(strlen(error->message), >, 0);
	g_assert_true(g_utf8_validate(error->message, -1, NULL));
}
