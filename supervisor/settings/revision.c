/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/settings/revision.c - comparing versions of the pair's settings. */
#include "supervisor/settings/revision.h"

#include <string.h>

#define FIRST_LINE "understudy-settings 1\n"

Revision revision_of(guint64 term, const char *device, guint64 n)
{
	Revision revision = { .term = term, .n = n };

	g_strlcpy(revision.device, device ? device : "", sizeof revision.device);
	return revision;
}

int revision_compare(const Revision *a, const Revision *b)
{
	if (a->term != b->term)
		return a->term < b->term ? -1 : 1;
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	return strcmp(a->device, b->device);
}

char *revision_text(const Revision *revision)
{
	if (!*revision->device)
		return g_strdup("the first");
	return g_strdup_printf("%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT " of %s", revision->term, revision->n, revision->device);
}

char *revision_of_text(const char *text)
{
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);

	return g_strndup(sum, 16);
}

RevisionAct revision_next(const RevisionFacts *facts, gint64 now_us, gint64 *ret_next_us)
{
	gint64 decided_us = MAX(facts->announced_us, facts->fresh_us) + REVISION_UNDECIDED_US;

	*ret_next_us = 0;
	if (facts->busy)
		return REVISION_KEEP;
	if (facts->peer_fresh && revision_compare(&facts->peer, &facts->own) > 0)
		return facts->prepared && facts->announced_is_peers ? REVISION_COMMIT : REVISION_FETCH;
	if (!facts->prepared)
		return REVISION_KEEP;
	if (revision_compare(&facts->announced, &facts->own) <= 0)
		return REVISION_DROP;
	if (!facts->peer_fresh)
		return REVISION_KEEP; /* it is asked when it comes back */
	if (now_us >= decided_us)
		return REVISION_DROP;
	*ret_next_us = decided_us;
	return REVISION_KEEP;
}

/* ---- Versions ---- */

void version_free(gpointer data)
{
	Version *version = data;

	if (!version)
		return;
	g_free(version->file);
	g_free(version->text);
	g_free(version->who);
	g_free(version->why);
	g_free(version);
}

/* A value of one line: what a person gave may have more. */
static void append(GString *out, const char *key, const char *value)
{
	g_string_append_printf(out, "%s=", key);
	for (const char *c = value ? value : ""; *c; c++)
		g_string_append_c(out, (guchar)*c < ' ' ? ' ' : *c);
	g_string_append_c(out, '\n');
}

char *version_format(const Version *version)
{
	GString *out = g_string_new(FIRST_LINE);

	append(out, "file", version->file);
	append(out, "who", version->who);
	append(out, "why", version->why);
	append(out, "device", version->revision.device);
	g_string_append_printf(out, "term=%" G_GUINT64_FORMAT "\nn=%" G_GUINT64_FORMAT "\ntime-ms=%" G_GINT64_FORMAT "\n\n%s",
			       version->revision.term, version->revision.n, version->time_ms, version->text);
	return g_string_free(out, FALSE);
}

Version *version_parse(const char *content)
{
	const char *text = strstr(content, "\n\n");

	if (!text || !g_str_has_prefix(content, FIRST_LINE))
		return NULL;
	g_autofree char *head = g_strndup(content, (gsize)(text - content));
	g_auto(GStrv) lines = g_strsplit(head + strlen(FIRST_LINE), "\n", -1);
	g_autoptr(Version) version = g_new0(Version, 1);
	guint64 term = 0, n = 0;
	g_autofree char *device = NULL;

	for (char **line = lines; *line; line++) {
		char *value = strchr(*line, '=');
		if (!value)
			return NULL;
		*value++ = '\0';
		char **word = strcmp(*line, "file") == 0 ? &version->file :
			      strcmp(*line, "who") == 0	 ? &version->who :
			      strcmp(*line, "why") == 0	 ? &version->why :
			      strcmp(*line, "device") == 0 ? &device :
							     NULL;
		if (word) {
			g_free(*word);
			*word = g_strdup(value);
		} else if (strcmp(*line, "term") == 0) {
			term = g_ascii_strtoull(value, NULL, 10);
		} else if (strcmp(*line, "n") == 0) {
			n = g_ascii_strtoull(value, NULL, 10);
		} else if (strcmp(*line, "time-ms") == 0) {
			version->time_ms = g_ascii_strtoll(value, NULL, 10);
		}
	}
	if (!version->file || !version->who || !version->why)
		return NULL;
	version->revision = revision_of(term, device, n);
	version->text = g_strdup(text + 2);
	return g_steal_pointer(&version);
}
