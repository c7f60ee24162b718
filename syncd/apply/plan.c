/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/apply/plan.c - entries that differ -> steps; steps <-> journal. */
#include "syncd/apply/plan.h"

#include <string.h>

#include "syncd/error.h"
#include "syncd/files/path.h"

#define HEADER "understudy-journal 1"

static const char *const step_words[] = {
	[SYNC_STEP_UNLINK] = "unlink", [SYNC_STEP_RMDIR] = "rmdir", [SYNC_STEP_MKDIR] = "mkdir",
	[SYNC_STEP_PLACE] = "place",   [SYNC_STEP_ATTR] = "attr",
};
static const char *const kind_words[] = {
	[SYNC_KIND_FILE] = "f",
	[SYNC_KIND_LINK] = "l",
	[SYNC_KIND_FOLDER] = "d",
};

static SyncMeta *meta_copy(const SyncMeta *meta)
{
	return meta ? sync_meta_new(meta->kind, meta->mode, meta->owner, meta->group, meta->mtime_ns, NULL) : NULL;
}

SyncEntry *sync_entry_new(const char *path, const SyncMeta *meta, const char *id)
{
	SyncEntry *entry = g_new0(SyncEntry, 1);

	entry->path = g_strdup(path);
	entry->meta = meta_copy(meta);
	entry->id = g_strdup(id);
	return entry;
}

void sync_entry_free(SyncEntry *entry)
{
	if (!entry)
		return;
	g_free(entry->path);
	sync_meta_free(entry->meta);
	g_free(entry->id);
	g_free(entry);
}

void sync_step_free(SyncStep *step)
{
	if (!step)
		return;
	g_free(step->set);
	g_free(step->path);
	sync_meta_free(step->meta);
	g_free(step->id);
	g_free(step);
}

SyncPlan *sync_plan_new(const char *ref, const char *commit)
{
	SyncPlan *plan = g_new0(SyncPlan, 1);

	plan->ref = g_strdup(ref);
	plan->commit = g_strdup(commit);
	plan->steps = g_ptr_array_new_with_free_func((GDestroyNotify)sync_step_free);
	return plan;
}

void sync_plan_free(SyncPlan *plan)
{
	if (!plan)
		return;
	g_free(plan->ref);
	g_free(plan->commit);
	g_ptr_array_unref(plan->steps);
	g_free(plan);
}

static SyncStep *add(SyncPlan *plan, SyncStepKind kind, const char *set, const char *path, const SyncMeta *meta)
{
	SyncStep *step = g_new0(SyncStep, 1);

	step->kind = kind;
	step->set = g_strdup(set);
	step->path = g_strdup(path);
	step->meta = meta_copy(meta);
	g_ptr_array_add(plan->steps, step);
	return step;
}

static int by_path(gconstpointer a, gconstpointer b)
{
	return strcmp((*(const SyncEntry *const *)a)->path, (*(const SyncEntry *const *)b)->path);
}

/* A folder's path is a prefix of everything in it, so the byte order of paths puts each folder before its contents. */
static GPtrArray *sorted(GPtrArray *entries)
{
	GPtrArray *copy = g_ptr_array_new();

	g_ptr_array_extend(copy, entries, NULL, NULL);
	g_ptr_array_sort(copy, by_path);
	return copy;
}

static bool is_folder(const SyncEntry *entry)
{
	return entry && entry->meta->kind == SYNC_KIND_FOLDER;
}

void sync_plan_add(SyncPlan *plan, const char *set, GPtrArray *old, GPtrArray *new_)
{
	g_autoptr(GPtrArray) before = sorted(old);
	g_autoptr(GPtrArray) after = sorted(new_);
	g_autoptr(GHashTable) was = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GHashTable) becomes = g_hash_table_new(g_str_hash, g_str_equal);

	for (guint i = 0; i < before->len; i++)
		g_hash_table_insert(was, ((SyncEntry *)before->pdata[i])->path, before->pdata[i]);
	for (guint i = 0; i < after->len; i++)
		g_hash_table_insert(becomes, ((SyncEntry *)after->pdata[i])->path, after->pdata[i]);

	for (guint i = before->len; i-- > 0;) {
		const SyncEntry *entry = before->pdata[i];
		const SyncEntry *next = g_hash_table_lookup(becomes, entry->path);

		/* A set's own folder stays even when the commit has none: an empty set is less harm than a missing one. */
		if (*entry->path == '\0')
			continue;
		if (is_folder(entry) && !is_folder(next))
			add(plan, SYNC_STEP_RMDIR, set, entry->path, NULL);
		else if (!is_folder(entry) && (!next || is_folder(next)))
			add(plan, SYNC_STEP_UNLINK, set, entry->path, NULL);
	}
	for (guint i = 0; i < after->len; i++) {
		const SyncEntry *entry = after->pdata[i];

		if (is_folder(entry) && !is_folder(g_hash_table_lookup(was, entry->path)))
			add(plan, SYNC_STEP_MKDIR, set, entry->path, entry->meta);
	}
	for (guint i = 0; i < after->len; i++) {
		const SyncEntry *entry = after->pdata[i];

		if (is_folder(entry))
			continue;
		SyncStep *step = add(plan, SYNC_STEP_PLACE, set, entry->path, entry->meta);
		step->stage = plan->steps->len;
		step->id = g_strdup(entry->id);
	}
	for (guint i = after->len; i-- > 0;) {
		const SyncEntry *entry = after->pdata[i];

		if (is_folder(entry) && is_folder(g_hash_table_lookup(was, entry->path)))
			add(plan, SYNC_STEP_ATTR, set, entry->path, entry->meta);
	}
}

void sync_plan_add_unlink(SyncPlan *plan, const char *set, const char *path)
{
	add(plan, SYNC_STEP_UNLINK, set, path, NULL);
}

char *sync_plan_to_journal(const SyncPlan *plan)
{
	GString *text = g_string_new(NULL);

	g_string_append_printf(text, HEADER "\nref %s\ncommit %s\n", plan->ref, plan->commit);
	for (guint i = 0; i < plan->steps->len; i++) {
		const SyncStep *step = plan->steps->pdata[i];
		g_autofree char *set = sync_escape(step->set);
		g_autofree char *path = sync_escape(step->path);

		g_string_append_printf(text, "%s %s %s", step_words[step->kind], set, path);
		if (step->meta) {
			g_autofree char *owner = sync_escape(step->meta->owner);
			g_autofree char *group = sync_escape(step->meta->group);
			g_string_append_printf(text, " %u %s %04o %s %s %" G_GINT64_FORMAT, step->stage, kind_words[step->meta->kind],
					       step->meta->mode, owner, group, step->meta->mtime_ns);
		}
		g_string_append_c(text, '\n');
	}
	g_string_append(text, "end\n");
	return g_string_free(text, FALSE);
}

static int word_index(const char *word, const char *const *words, guint n_words)
{
	for (guint i = 0; i < n_words; i++)
		if (g_str_equal(word, words[i]))
			return i;
	return -1;
}

static bool parse_step(SyncPlan *plan, const char *line)
{
	g_auto(GStrv) words = g_strsplit(line, " ", 10);
	guint n_words = g_strv_length(words);
	if (n_words < 3)
		return false;
	int kind = word_index(words[0], step_words, G_N_ELEMENTS(step_words));
	g_autofree char *set = sync_unescape(words[1], NULL);
	g_autofree char *path = sync_unescape(words[2], NULL);
	if (kind < 0 || !set || !path || !sync_path_ok(path))
		return false;
	bool with_meta = kind != SYNC_STEP_UNLINK && kind != SYNC_STEP_RMDIR;
	if (n_words != (with_meta ? 9u : 3u))
		return false;
	if (!with_meta) {
		add(plan, kind, set, path, NULL);
		return true;
	}
	guint64 stage, mode, mtime_ns;
	int what = word_index(words[4], kind_words, G_N_ELEMENTS(kind_words));
	g_autofree char *owner = sync_unescape(words[6], NULL);
	g_autofree char *group = sync_unescape(words[7], NULL);
	if (!g_ascii_string_to_unsigned(words[3], 10, 0, G_MAXUINT, &stage, NULL) || what < 0 ||
	    !g_ascii_string_to_unsigned(words[5], 8, 0, 07777, &mode, NULL) || !owner || !group ||
	    !g_ascii_string_to_unsigned(words[8], 10, 0, G_MAXINT64, &mtime_ns, NULL))
		return false;
	g_autoptr(SyncMeta) meta = sync_meta_new(what, mode, owner, group, mtime_ns, NULL);
	add(plan, kind, set, path, meta)->stage = stage;
	return true;
}

SyncPlan *sync_plan_from_journal(const char *text, GError **error)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	guint n_lines = g_strv_length(lines);

	/* "end" and the empty string after the last newline close a journal that was written to its end. */
	if (n_lines < 5 || !g_str_equal(lines[0], HEADER) || !g_str_has_prefix(lines[1], "ref ") ||
	    !g_str_has_prefix(lines[2], "commit ") || !g_str_equal(lines[n_lines - 2], "end") || *lines[n_lines - 1] != '\0') {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "not a whole journal");
		return NULL;
	}
	g_autoptr(SyncPlan) plan = sync_plan_new(lines[1] + strlen("ref "), lines[2] + strlen("commit "));
	for (guint i = 3; i < n_lines - 2; i++) {
		if (!parse_step(plan, lines[i])) {
			g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "journal, line %u: malformed", i + 1);
			return NULL;
		}
	}
	return g_steal_pointer(&plan);
}
