/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unite/main.c - a unite-command for Asterisk, FreeSWITCH and Kamailio: each word says what to do with one data set. */
#include <stdio.h>
#include <stdlib.h>

#include "unite/unite.h"

int main(int argc, char **argv)
{
	const char *base = g_getenv("UNDERSTUDY_BASE"), *theirs = g_getenv("UNDERSTUDY_THEIRS");
	UniteCount count = { 0 };

	if (argc < 2 || !base || !theirs) {
		fprintf(stderr, "This is the unite-command of an application: UNDERSTUDY_BASE and UNDERSTUDY_THEIRS name its folders, and each word a data set:\n"
				"messages:SET:PATH, files:SET:PATH, lines:SET:PATH or rows:SET:PATH:TABLE[:COLUMN,COLUMN].\n");
		return 2;
	}
	for (int i = 1; i < argc; i++) {
		g_autoptr(GError) error = NULL;

		if (!unite_word(argv[i], base, theirs, &count, &error)) {
			fprintf(stderr, "%s\n", error->message);
			return 1;
		}
	}
	g_autofree char *text = unite_count_text(&count);
	printf("%s\n", text);
	return 0;
}
